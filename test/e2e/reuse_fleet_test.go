package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// sharing is reusing with what gateways need to share answers.
func sharing(settings ...any) func(map[string]any) {
	return reusing(append([]any{"shared", true, "secret", reuseSecret}, settings...)...)
}

// buildSharing is build for gateways that share answers. Its Redis has a user that
// purges, too.
func buildSharing(t *testing.T, settings ...any) *world {
	t.Helper()
	users := slices.Concat([]string{"--user"}, redistest.SharingACL(t), redistest.WithUser(t, redistest.Purger))
	w := buildOn(t, redistest.Start(t, users...), sharing(settings...))
	w.host = "gateway.example.com" // of all gateways
	return w
}

// startSharing starts a gateway, and waits until it gives answers again. Redis has
// no answer of it then.
func (w *world) startSharing() {
	w.Helper()
	before, err := w.redis.Client().Keys(context.Background(), prefix+"reuse:answer:*").Result()
	if err != nil {
		w.Fatal(err)
	}
	w.start()
	w.reuses(nil)
	for _, key := range w.sharedAnswers(len(before) + 1) {
		if !slices.Contains(before, key) {
			if err := w.redis.Client().Del(context.Background(), key).Err(); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// sharedAnswers waits until Redis has n answers.
func (w *world) sharedAnswers(n int) (keys []string) {
	w.Helper()
	w.eventually(func() (err error) {
		keys, err = w.redis.Client().Keys(context.Background(), prefix+"reuse:answer:*").Result()
		if err == nil && len(keys) < n {
			err = fmt.Errorf("Redis has %d answers, want %d", len(keys), n)
		}
		return err
	})
	return keys
}

// TestReuseShared: a gateway gives the answer that another one got. While Redis is
// down, each has only its own, and everything else works.
func TestReuseShared(t *testing.T) {
	w := buildSharing(t)
	w.startSharing()
	second := w.beside()
	for n, f := range []string{form().Encode(), form("scope", "read").Encode()} {
		first := w.send(http.DefaultClient, w.request(f, nil))
		w.enriched(first)
		w.sharedAnswers(n + 1)
		second.repeats("the other gateway", first, second.request(f, nil))
	}
	w.expectCalls(1, "another secret at the other gateway", func() {
		if a := second.ask(form("client_secret", "wrong")); a.StatusCode != 401 {
			t.Errorf("got status %d, want 401", a.StatusCode)
		}
	})

	w.redis.Stop()
	var own, others answer
	w.expectCalls(2, "without Redis", func() {
		own, others = w.ask(form("scope", "write")), second.ask(form("scope", "write"))
	})
	w.enriched(own)
	w.enriched(others)
	w.repeats("without Redis", own, w.tokenRequest(form("scope", "write")))
	second.repeats("without Redis", others, second.tokenRequest(form("scope", "write")))

	w.redis.Restart()
	w.record("app:"+client, "org_code", org)
	w.record("org:"+org, "code", org, "name", "Acme Inc")
	n := 0
	w.eventually(func() error { // once both know that Redis is back
		n++
		f := form("scope", "again") // one, because a client may have few answers
		w.record("org:"+org, "name", fmt.Sprint("Acme ", n))
		a := w.ask(f)
		before := w.calls()
		if b := second.ask(f); w.enriched(a)["jti"] != b.claims()["jti"] || w.calls() != before {
			return errors.New("the gateways don't share again")
		}
		return nil
	})
}

// TestReuseChanges: after a change the next answer is new, at each gateway.
func TestReuseChanges(t *testing.T) {
	t.Parallel() // it mostly waits
	w := buildSharing(t)
	w.startSharing()
	gateways := []*world{w, w.beside()}
	var last answer
	names := 0
	served := func() { // both give the same answer
		w.Helper()
		w.eventually(func() error {
			last = w.ask(form())
			w.enriched(last)
			if gateways[1].ask(form()).token() == last.token() {
				return nil
			}
			// The other one asked before the answer was shared. Both ask again once the
			// records have changed, and look at what is shared: their answers were given again.
			for _, g := range gateways {
				g.ask(form())
			}
			names++
			w.record("org:"+org, "name", fmt.Sprint("Acme ", names))
			return errors.New("the gateways don't share")
		})
		w.repeats("before the change", last, w.tokenRequest(form()))
	}
	renewed := func(a answer) map[string]any {
		w.Helper()
		claims := w.enriched(a)
		if claims["jti"] == last.claims()["jti"] {
			w.Errorf("got the same token after the change")
		}
		return claims
	}

	served()
	w.record("org:"+org, "name", "Acme Ltd")
	for _, g := range gateways {
		if got := renewed(g.ask(form()))["org_name"]; got != "Acme Ltd" {
			t.Errorf("got the name %v, want the changed one", got)
		}
	}

	served()
	w.record("org:"+org, "is_suspended", "true")
	for _, g := range gateways {
		g.refused(g.ask(form()), 400, "unauthorized_client", "suspended_organization")
	}
	w.record("org:"+org, "is_suspended", "false")

	served()
	w.generateKey("ec")
	for _, g := range gateways {
		g.eventually(func() error {
			if alg := g.ask(form()).header()["alg"]; alg != "ES256" {
				return fmt.Errorf("%w: the new key doesn't sign", errNotYet)
			}
			return nil
		})
		g.issued(g.ask(form()))
	}

	for _, which := range []string{client, "--all"} {
		served()
		w.purge(which)
		for _, g := range gateways {
			g.eventually(func() error {
				if g.ask(form()).token() == last.token() {
					return fmt.Errorf("%w: purge %s", errNotYet, which)
				}
				return nil
			})
		}
	}

	served()
	for _, g := range gateways {
		g.reload(func(c map[string]any) { sharing()(c); claim("plan", "value", "gold")(c) })
		g.eventually(func() error {
			if plan := renewed(g.ask(form()))["plan"]; plan != "gold" {
				return fmt.Errorf("%w: the plan is %v", errNotYet, plan)
			}
			return nil
		})
	}
}

// purge runs the command as the user that can do nothing else.
func (w *world) purge(which string) {
	w.Helper()
	inner := *w
	inner.edit = func(c map[string]any) {
		w.edit(c)
		redis := c["redis"].(map[string]any)
		redis["username"], redis["password"] = redistest.Purger, redistest.PurgerPassword
	}
	path := filepath.Join(w.TempDir(), "kong.yml")
	if err := os.WriteFile(path, inner.config(), 0o600); err != nil {
		w.Fatal(err)
	}
	if code, stdout, stderr := command(w.T, "reuse", "purge", "-c", path, which); code != 0 {
		w.Fatalf("purge %s: exit code %d, want 0\n%s%s", which, code, stdout, stderr)
	}
}
