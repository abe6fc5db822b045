package kinde

import (
	"errors"
	"fmt"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/neighbours"
)

// TestNearMisses: no name beside one with a meaning gets in from a tenant.
func TestNearMisses(t *testing.T) {
	w := start(t)
	w.Names = schema.Names{schema.Organization: {"plan"}, schema.Application: {"org_code"}}
	for _, meant := range []string{"is_suspended", "code", "plan"} {
		for _, name := range neighbours.Of(meant, 60) {
			w.tenant.SetOrganization(idptest.Organization{Code: "org_a", Properties: map[string]any{name: "c0nfidential", "other": "x"}})
			got, err := w.Organization(t.Context(), "org_a")
			if !errors.Is(err, schema.ErrInvalidRecord) || got != nil {
				t.Errorf("with %q: got %v, %v, want ErrInvalidRecord", name, got, err)
				continue
			}
			w.expectError(t, err, `organization "org_a"`, `"`+meant+`"`)
		}
	}
}

// TestAmbiguousSuspension: if the name of a property may be taken for is_suspended,
// its true suspends the organization, and its false doesn't end a suspension.
func TestAmbiguousSuspension(t *testing.T) {
	for name, c := range map[string]struct {
		field    bool
		property string
		want     string
	}{
		"neither":           {false, "false", "false"},
		"the field":         {true, "false", "true"},
		"the property":      {false, "TRUE", "true"},
		"another property":  {false, "perhaps", "false"},
		"field and perhaps": {true, "perhaps", "true"},
	} {
		for way, learn := range map[string]func(*hook){
			"run": func(h *hook) {
				_, err := h.run().Do(h.T.Context())
				h.expectError(h.T, err, `"Is Suspended"`, `"is_suspended"`)
			},
			"webhook": func(h *hook) { h.post(h.event(eventOfUpdate, "org_a"), 503) },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				h := startHook(t)
				h.record("org_a", schema.Record{"plan": "gold", "is_suspended": "false"})
				h.job("app_1", "org_code", "org_a")
				h.synced.tenant.SetOrganization(idptest.Organization{Code: "org_a", IsSuspended: c.field, Properties: map[string]any{"Is Suspended": c.property}})
				learn(h)
				want := fmt.Sprint(schema.Record{"code": "org_a", "plan": "gold", "is_suspended": c.want})
				if got := h.dump()["org:org_a"]; fmt.Sprint(got) != want {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	}
}

// TestSuspensionBehindANearMiss: an application whose property has an ambiguous
// name stays as it is. A suspension of its organization is applied.
func TestSuspensionBehindANearMiss(t *testing.T) {
	h := startHook(t)
	h.job("app_1", "org_code", "org_a")
	h.organization("a", false)
	h.sync()
	h.job("app_1", "org_code", "org_a", "Region", "eu")
	h.organization("a", true)
	run := h.run()
	run.Source.(*Source).Client.Names = schema.Names{schema.Application: {"region"}}
	if _, err := run.Do(t.Context()); !errors.Is(err, reconcile.ErrIncomplete) {
		t.Errorf("got %v, want ErrIncomplete", err)
	}
	if got := h.dump(); got["org:org_a"]["is_suspended"] != "true" || got["app:app_1"]["Region"] != "" || got["app:app_1"] == nil {
		t.Errorf("got %v, want the suspension, and the application as it was", got)
	}
}
