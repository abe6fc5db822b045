package e2e

import "testing"

// TestExpression: a claim that an expression computes from the records, the token and
// the request is in the token. An expression that fails refuses it, and the log says
// where.
func TestExpression(t *testing.T) {
	w := newWorld(t, func(c map[string]any) {
		c["claims"] = []any{
			map[string]any{"name": "org_code", "from": "organization.code"},
			map[string]any{"name": "tier", "expr": `organization.plan == "gold" ? "priority" : "standard"`},
			map[string]any{"name": "reads", "type": "boolean", "expr": `"read" in event.request.auth.scope && token.azp == event.context.application.clientId`},
			map[string]any{"name": "from", "expr": `event.request.ip`},
		}
	})
	w.record("org:"+org, "plan", "gold")
	got := w.enriched(w.ask(form("scope", "read write")))
	for name, want := range map[string]any{"tier": "priority", "reads": true, "from": "127.0.0.1"} {
		if got[name] != want {
			t.Errorf("the claim %s is %v, want %v", name, got[name], want)
		}
	}

	w.provider.Add("nobody", secret)
	w.record("app:nobody", "org_code", "org_empty")
	w.record("org:org_empty", "code", "org_empty")
	w.refused(w.ask(form("client_id", "nobody")), 400, "unauthorized_client", "missing_property")
	w.logs(`claim \"tier\": expr needs organization.plan at 1:13, which is missing`)
}
