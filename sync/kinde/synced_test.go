package kinde

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

const prefix = "m2m:example.kinde.com:"

// synced is a tenant and a Redis with its records.
type synced struct {
	*world
	*testing.T
	server *redistest.Server
	store  *records.Store
	warned []string
}

func startSynced(t *testing.T) *synced {
	s := &synced{world: start(t), T: t, server: redistest.Start(t)}
	s.store = s.open(s.server.Port())
	s.Names = schema.Names{schema.Application: {"org_code", "user_id"}}
	s.Warn = func(warning string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.warned = append(s.warned, warning)
	}
	return s
}

func (s *synced) open(port int) *records.Store {
	s.Helper()
	store := records.Open(redistest.Config(port), prefix, nil)
	s.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.Error(err)
		}
	})
	return store
}

// run is a synchronization without a limit.
func (s *synced) run() *reconcile.Run {
	return &reconcile.Run{
		Store: s.store, MaxDelete: reconcile.Unlimited,
		Source: &Source{
			Client:    s.Client,
			Relations: map[schema.Kind][]string{schema.Organization: {"org_code"}, schema.User: {"user_id"}},
		},
	}
}

func (s *synced) sync() {
	s.Helper()
	if _, err := s.run().Do(s.T.Context()); err != nil {
		s.Fatal(err)
	}
}

// dump returns all records in Redis by their keys, which are without the
// prefix.
func (s *synced) dump() map[string]schema.Record {
	s.Helper()
	keys, err := s.server.Client().Keys(s.T.Context(), "*").Result()
	if err != nil {
		s.Fatal(err)
	}
	all := map[string]schema.Record{}
	for _, key := range keys {
		if strings.HasPrefix(key, prefix+"written:") {
			continue // when a record was written
		}
		all[strings.TrimPrefix(key, prefix)] = s.server.Client().HGetAll(s.T.Context(), key).Val()
	}
	return all
}

func (s *synced) expect(want map[string]schema.Record) {
	s.Helper()
	got := s.dump()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !maps.Equal(got[key], want[key]) {
			s.Errorf("got %s = %v, want %v", key, got[key], want[key])
			return // one says enough
		}
	}
	if len(got) != len(want) {
		s.Errorf("got %d records, want %d", len(got), len(want))
	}
}

// job adds an M2M application with properties, names and values in turn.
func (s *synced) job(id string, properties ...string) {
	all := map[string]any{"region": nil}
	for i := 0; i < len(properties); i += 2 {
		all[properties[i]] = properties[i+1]
	}
	s.tenant.SetApplication(idptest.Application{ID: id, Name: "Job " + id, Type: "m2m", Properties: all})
}

// jobs adds n applications that share organizations and users, and returns the
// records that Redis should have.
func (s *synced) jobs(n int) map[string]schema.Record {
	want := map[string]schema.Record{}
	for i := range n {
		id, org, user := fmt.Sprintf("app_%04d", i), fmt.Sprintf("org_%d", i%97), fmt.Sprintf("kp_%d", i%89)
		s.job(id, "org_code", org, "user_id", user)
		want["app:"+id] = schema.Record{"name": "Job " + id, "type": "m2m", "org_code": org, "user_id": user}
		s.tenant.SetOrganization(idptest.Organization{Code: org, Name: "Name of " + org, Properties: map[string]any{"plan": "gold"}})
		want["org:"+org] = schema.Record{"code": org, "name": "Name of " + org, "plan": "gold", "is_suspended": "false"}
		s.tenant.SetUser(idptest.User{ID: user, Email: user + "@example.com"})
		want["user:"+user] = schema.Record{"id": user, "email": user + "@example.com"}
	}
	return want
}
