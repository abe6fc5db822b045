package e2e

import (
	"context"
	"fmt"
	"testing"
)

func TestRecords(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["cache"] = map[string]any{"ttl": 0, "negative_ttl": 0, "stale_ttl": 0}
	})
	application := func(name string, properties ...string) {
		w.provider.Add(name, secret)
		if len(properties) > 0 {
			w.record("app:"+name, properties...)
		}
	}
	refused := func(name, outcome string) {
		w.Helper()
		w.Run(name, func(*testing.T) { w.refused(w.ask(form("client_id", name)), 400, "unauthorized_client", outcome) })
	}

	application("unknown")
	refused("unknown", "unknown_application")

	application("suspended", "org_code", "org_suspended")
	w.record("org:org_suspended", "code", "org_suspended", "name", "S", "is_suspended", "true")
	refused("suspended", "suspended_organization")

	application("other-code", "org_code", "org_alias")
	w.record("org:org_alias", "code", org, "name", "Acme Inc")
	refused("other-code", "invalid_record")

	application("wrong-type")
	if err := w.redis.Client().Set(context.Background(), prefix+"app:wrong-type", "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	refused("wrong-type", "invalid_record")

	application("no-name", "org_code", "org_nameless")
	w.record("org:org_nameless", "code", "org_nameless", "name", "")
	refused("no-name", "missing_property")
}

// TestRedisDown: Redis is down at the start, comes back, and fails again.
func TestRedisDown(t *testing.T) {
	w := build(t, func(c map[string]any) { c["cache"] = map[string]any{"ttl": 1, "stale_ttl": 3600} })
	w.redis.Stop()
	w.start()
	w.refused(w.ask(form()), 503, "temporarily_unavailable", "lookup_unavailable")

	w.redis.Restart()
	w.record("app:"+client, "org_code", org)
	w.record("org:"+org, "code", org, "name", "Acme Inc")
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != 200 {
			return fmt.Errorf("redis is back, but status %d: %s", a.StatusCode, a.body)
		}
		return nil
	})

	w.redis.Stop()
	w.provider.Add("unknown", secret)
	w.refused(w.ask(form("client_id", "unknown")), 503, "temporarily_unavailable", "lookup_unavailable")
	w.enriched(w.ask(form())) // cached: fresh or stale, never refused
}

// TestKnownSuspensionDuringAnOutage: a known suspension stops tokens also while
// Redis is down.
func TestKnownSuspensionDuringAnOutage(t *testing.T) {
	w := newWorld(t, func(c map[string]any) { c["cache"] = map[string]any{"ttl": 0, "stale_ttl": 0} })
	w.record("org:"+org, "is_suspended", "true")
	w.refused(w.ask(form()), 400, "unauthorized_client", "suspended_organization")
	w.redis.Stop()
	w.refused(w.ask(form()), 400, "unauthorized_client", "suspended_organization")
}
