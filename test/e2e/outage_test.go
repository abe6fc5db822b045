package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestReloadDuringAnOutage: while Redis is down, a changed configuration serves
// the applications that the previous one served, as long as it needs no other
// property of them.
func TestReloadDuringAnOutage(t *testing.T) {
	w := newWorld(t, nil)
	w.provider.Add("suspended", secret)
	w.record("app:suspended", "org_code", "org_suspended")
	w.record("org:org_suspended", "code", "org_suspended", "is_suspended", "true")
	suspended := func() {
		w.Helper()
		w.refused(w.ask(form("client_id", "suspended")), 400, "unauthorized_client", "suspended_organization")
	}
	w.enriched(w.ask(form()))
	suspended()

	w.redis.Stop()
	w.reload(claim("plan", "value", "gold"))
	w.eventually(func() error {
		if plan := w.enriched(w.ask(form()))["plan"]; plan != "gold" {
			return fmt.Errorf("%w: the plan is %v", errNotYet, plan)
		}
		return nil
	})
	suspended()

	for name, edit := range map[string]func(map[string]any){
		"another property": claim("plan", "from", "application.plan"),
		"another prefix":   func(c map[string]any) { c["prefix"] = "other:" },
		"another database": func(c map[string]any) { c["redis"].(map[string]any)["database"] = 1 },
	} {
		w.reload(edit)
		w.eventually(func() error {
			if a := w.ask(form()); !strings.Contains(string(a.body), "lookup_unavailable") {
				return fmt.Errorf("%w: %s: status %d", errNotYet, name, a.StatusCode)
			}
			return nil
		})
		w.refused(w.ask(form()), 503, "temporarily_unavailable", "lookup_unavailable")
		if name == "another property" {
			suspended()
		}
	}
}

// reload reloads the gateway with a configuration that edit changes.
func (w *world) reload(edit func(map[string]any)) {
	w.Helper()
	w.edit = edit
	if err := w.gateway.Reload(w.config()); err != nil {
		w.Fatal(errors.Join(errors.New("reload"), err))
	}
}

// claim adds a claim; how is "value" or "from".
func claim(name, how, what string) func(map[string]any) {
	return func(c map[string]any) {
		c["claims"] = append(c["claims"].([]any), map[string]any{"name": name, how: what})
	}
}
