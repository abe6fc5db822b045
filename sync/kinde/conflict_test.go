package kinde

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
)

const propertiesOfA = "/api/v1/organizations/org_a/properties"

// meanwhile calls f once, between the tenant's answer about org_a and the one about
// its properties.
func (h *hook) meanwhile(f func()) {
	var done atomic.Bool
	h.tenant.Replace(propertiesOfA, func(w http.ResponseWriter, _ *http.Request) {
		if done.CompareAndSwap(false, true) {
			f()
		}
		_, _ = w.Write([]byte(`{"properties":[]}`))
	})
}

// TestConflict: while a run or a receiver has an older answer, another receiver
// writes a newer one. The newer one stays.
func TestConflict(t *testing.T) {
	run := func(h *hook) { h.sync() }
	receive := func(h *hook) { h.post(h.event(eventOfUpdate, "org_a"), 204) }
	suspend := func(h *hook) { h.organization("before", true) }
	remove := func(h *hook) { h.tenant.RemoveOrganization("org_a") }
	none := func(h *hook) {
		if _, err := h.synced.store.Delete(h.T.Context(), schema.Organization, []string{"org_a"}, records.Write); err != nil {
			h.Fatal(err)
		}
	}
	suspended := func(h *hook) {
		h.record("org_a", schema.Record{"name": "before", "is_suspended": "true"})
	}
	for name, c := range map[string]struct {
		before, slow, change func(*hook)
		event                string
		want                 string // is_suspended, "" for no record
	}{
		"a run, suspended":              {nil, run, suspend, eventOfUpdate, "true"},
		"a run, a new record":           {none, run, suspend, eventOfUpdate, "true"},
		"a run, suspended once more":    {suspended, run, suspend, eventOfUpdate, "true"}, // as Redis says already
		"a run, deleted":                {nil, run, remove, eventOfDelete, ""},
		"a run, a new record, deleted":  {none, run, remove, eventOfDelete, ""},
		"a receiver, suspended":         {nil, receive, suspend, eventOfUpdate, "true"},
		"a receiver, suspended, again":  {suspended, receive, suspend, eventOfUpdate, "true"},
		"a receiver, deleted meanwhile": {nil, receive, remove, eventOfDelete, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHook(t)
			h.job("app_1", "org_code", "org_a")
			if c.before != nil {
				c.before(h)
			}
			other := NewWebhook(h.Client, h.synced.store, h.verify, func(string) {})
			h.meanwhile(func() {
				c.change(h)
				w := httptest.NewRecorder()
				other.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(h.event(c.event, "org_a"))))
				if w.Code != http.StatusNoContent {
					t.Errorf("the event is answered with %d", w.Code)
				}
			})
			c.slow(h)
			if got := h.dump()["org:org_a"]; got["is_suspended"] != c.want {
				t.Errorf("got %v, want is_suspended %q", got, c.want)
			}
		})
	}
}

// TestAlwaysConflict: if others write the record each time, a run or a receiver
// gives up and leaves theirs. The run reports it; the tenant sends the event again.
func TestAlwaysConflict(t *testing.T) {
	h := startHook(t)
	h.job("app_1", "org_code", "org_a")
	h.organization("of the tenant", false)
	var n atomic.Int64
	h.tenant.Replace(propertiesOfA, func(w http.ResponseWriter, _ *http.Request) {
		h.record("org_a", schema.Record{"name": fmt.Sprint("of the operator, ", n.Add(1))})
		_, _ = w.Write([]byte(`{"properties":[]}`))
	})
	h.post(h.event(eventOfUpdate, "org_a"), 503)
	_, err := h.run().Do(t.Context())
	h.expectError(t, err, `organization "org_a": written by somebody else`)
	if got := h.dump(); !strings.HasPrefix(got["org:org_a"]["name"], "of the operator") || got["app:app_1"] == nil {
		t.Errorf("got %v", got)
	}
	h.tenant.Replace(propertiesOfA, nil)
	h.sync()
	h.expectName("of the tenant")
}

func (h *hook) expectName(want string) {
	h.Helper()
	if got := h.dump()["org:org_a"]; got["name"] != want {
		h.Errorf("got %v, want the name %q", got, want)
	}
}

// TestApplicationConflict: an application is read again with its name, which is
// only in the list, and with the organization that it names then.
func TestApplicationConflict(t *testing.T) {
	h := startHook(t)
	h.job("app_1", "org_code", "org_a")
	h.tenant.SetOrganization(idptest.Organization{Code: "org_b", Name: "b"})
	const path = "/api/v1/applications/app_1/properties"
	h.tenant.Replace(path, func(w http.ResponseWriter, _ *http.Request) {
		h.tenant.Replace(path, nil)
		h.tenant.SetApplication(idptest.Application{ID: "app_1", Name: "renamed", Type: "m2m", Properties: map[string]any{"org_code": "org_b"}})
		h.sync() // another run, from the first request to the last
		_, _ = w.Write([]byte(`{"properties":[{"key":"org_code","value":"org_a"}]}`))
	})
	h.sync()
	if got := h.dump(); got["app:app_1"]["name"] != "renamed" || got["app:app_1"]["org_code"] != "org_b" || got["org:org_b"] == nil {
		t.Errorf("got %v", got)
	}
}
