package kinde

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
	"m2m-token-enricher/test/idptest"
)

func TestSync(t *testing.T) {
	s := startSynced(t)
	want := s.jobs(1200)
	for _, other := range []string{"reg", "spa", "", "M2M"} {
		s.tenant.SetApplication(idptest.Application{ID: "other_" + other, Type: other, Properties: map[string]any{"org_code": "org_other"}})
	}
	s.sync()
	s.expect(want)
	for path, hits := range map[string]int{
		"/api/v1/applications": 3, "/api/v1/organization": 97, "/api/v1/user": 89,
		"/api/v1/organizations/org_5/properties": 1, "/api/v1/users/kp_5/properties": 1, "/api/v1/applications/app_0005/properties": 1,
	} {
		if got := s.tenant.Hits(path); got != hits {
			t.Errorf("%s was asked for %d times, want %d", path, got, hits)
		}
	}
	if len(s.warned) > 0 {
		t.Errorf("warned of %q", s.warned)
	}
}

// TestSyncFollows: what changes at the tenant changes in Redis.
func TestSyncFollows(t *testing.T) {
	s := startSynced(t)
	s.job("a", "org_code", "o", "region", "eu", "plan", "gold")
	s.job("gone")
	organization := idptest.Organization{Code: "o", Name: "Acme", IsSuspended: true}
	s.tenant.SetOrganization(organization)
	s.sync()
	org := func(suspended string) schema.Record {
		return schema.Record{"code": "o", "name": "Acme", "is_suspended": suspended}
	}
	gone := schema.Record{"name": "Job gone", "type": "m2m"}
	s.expect(map[string]schema.Record{
		"app:a": {"name": "Job a", "type": "m2m", "org_code": "o", "region": "eu", "plan": "gold"}, "app:gone": gone, "org:o": org("true"),
	})
	organization.IsSuspended = false
	s.tenant.SetOrganization(organization)
	s.job("a", "org_code", "o", "region", "", "plan", "silver") // empty is as null
	s.sync()
	s.expect(map[string]schema.Record{
		"app:a": {"name": "Job a", "type": "m2m", "org_code": "o", "plan": "silver"}, "app:gone": gone, "org:o": org("false"),
	})
	s.job("a", "org_code", "o")
	s.tenant.RemoveApplication("gone")
	s.sync()
	s.expect(map[string]schema.Record{"app:a": {"name": "Job a", "type": "m2m", "org_code": "o"}, "org:o": org("false")})
	s.tenant.SetApplication(idptest.Application{ID: "a", Type: "reg"})
	s.sync()
	s.expect(map[string]schema.Record{})
}

// TestSyncOfUnknown: what the tenant doesn't have although applications name it
// is logged, and the run continues.
func TestSyncOfUnknown(t *testing.T) {
	s := startSynced(t)
	const unknown = 30
	for i := range unknown {
		s.job(fmt.Sprint("a", i), "org_code", fmt.Sprint("none", i))
	}
	odd := []string{"with space", "..", ".", strings.Repeat("x", 257), "ü"}
	for i, code := range odd {
		s.job(fmt.Sprint("odd", i), "org_code", code, "user_id", code)
	}
	s.job("good", "org_code", "a/b:c*")
	s.tenant.SetOrganization(idptest.Organization{Code: "a/b:c*", Name: "Good"})
	s.sync()
	if got, err := s.store.Get(t.Context(), schema.Organization, "a/b:c*"); err != nil || got["name"] != "Good" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := s.store.Get(t.Context(), schema.Application, "a0"); err != nil {
		t.Error(err)
	}
	if want := unknown + 2*len(odd); len(s.warned) != want {
		t.Errorf("got %d warnings, want %d: %q", len(s.warned), want, s.warned)
	}
	if !slices.ContainsFunc(s.warned, func(w string) bool { return strings.Contains(w, "organization none7") }) {
		t.Errorf("got the warnings %q, want one of organization none7", s.warned)
	}
	s.tenant.SetOrganization(idptest.Organization{Code: "none3", Name: "Known now"})
	s.sync()
	s.tenant.RemoveOrganization("none3")
	s.sync()
	if _, err := s.store.Get(t.Context(), schema.Organization, "none3"); !errors.Is(err, schema.ErrNoRecord) {
		t.Errorf("got %v", err)
	}
}

// TestSyncGivesUp: a refusal in the middle deletes nothing.
func TestSyncGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		jobs int
		path string
	}{
		"an application":  {510, "/api/v1/applications/app_0505/properties"}, // on the second page
		"an organization": {10, "/api/v1/organization"},
		"a user":          {10, "/api/v1/users/kp_3/properties"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSynced(t)
			s.jobs(c.jobs)
			if _, err := s.store.Put(t.Context(), schema.Application, []records.Entry{{ID: "old", Properties: schema.Record{"a": "1"}}}, records.Write); err != nil {
				t.Fatal(err)
			}
			s.answer(c.path, 403, `{"errors":[{"code":"FORBIDDEN","message":"no"}]}`)
			_, err := s.run().Do(t.Context())
			s.expectError(t, err, "status 403")
			if _, err := s.store.Get(t.Context(), schema.Application, "old"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSyncResumes: a run that was interrupted doesn't ask for the earlier pages
// again.
func TestSyncResumes(t *testing.T) {
	s := startSynced(t)
	want := s.jobs(1020)
	last := "/api/v1/applications/app_1010/properties"
	s.answer(last, 403, "")
	checkpoint := reconcile.NewCheckpoint(filepath.Join(t.TempDir(), "state"), "tenant")
	run := s.run()
	run.Checkpoint = checkpoint
	_, err := run.Do(t.Context())
	s.expectError(t, err, "status 403")
	s.tenant.Replace(last, nil)
	run = s.run() // as another process
	run.Checkpoint = checkpoint
	if _, err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect(want)
	if lists, again := s.tenant.Hits("/api/v1/applications"), s.tenant.Hits("/api/v1/applications/app_0001/properties"); lists != 4 || again != 1 {
		t.Errorf("got %d requests for pages, %d for one application, want 4 and 1", lists, again)
	}
}

// TestSyncCantResume: the tenant no longer knows a next_token.
func TestSyncCantResume(t *testing.T) {
	s := startSynced(t)
	s.job("a")
	var got error
	for _, err := range (&Source{Client: s.Client}).Pages(t.Context(), "!") {
		got = err
	}
	if !errors.Is(got, reconcile.ErrCantResume) || !strings.Contains(got.Error(), "NEXT_TOKEN_INVALID") {
		t.Errorf("got %v", got)
	}
	s.answer("/api/v1/applications", 400, `{"errors":[{"code":"BAD","message":"no"}]}`)
	for _, err := range (&Source{Client: s.Client}).Pages(t.Context(), "") {
		got = err
	}
	if errors.Is(got, reconcile.ErrCantResume) {
		t.Errorf("at the beginning: got %v", got)
	}
}
