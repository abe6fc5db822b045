package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/kongtest"
)

// TestReuseCopies: who copies Redis and all logs finds no token and no secret in
// them. The content of Redis is of no use with another reuse.secret, or without the
// client's secret.
func TestReuseCopies(t *testing.T) {
	w := buildSharing(t, "if_provider_fails", true)
	audit := filepath.Join(openDir(t), "audit.log")
	w.flags = []string{"-audit", audit}
	var mu sync.Mutex
	needles := []string{secret, reuseSecret, base64.StdEncoding.EncodeToString([]byte(client + ":" + secret))}
	w.provider.Misbehave(idptest.Fault{Token: func(token string) string {
		mu.Lock()
		defer mu.Unlock()
		needles = append(needles, token)
		return token
	}})
	w.startSharing()
	basic := func(r *http.Request) { r.SetBasicAuth(client, secret) }
	answers := []answer{w.ask(form()), w.send(http.DefaultClient, w.request("grant_type=client_credentials&audience=a", basic))}
	for _, a := range answers {
		w.enriched(a)
		needles = append(needles, a.token())
	}
	w.ask(form())
	w.ask(form("client_secret", "wrong"))
	w.sharedAnswers(2)

	copied := w.dump() + w.gateway.Log() + output(w.gateway)
	w.eventually(func() error {
		text, err := os.ReadFile(audit)
		if err == nil && strings.Count(string(text), "\n") < 2+3 { // two before the gateway gives answers again
			err = errNotYet
		}
		copied += string(text)
		return err
	})
	for i, needle := range needles {
		for _, part := range append(strings.Split(needle, "."), needle) {
			for form, text := range encodings(part) {
				if strings.Contains(copied, text) {
					t.Errorf("the copy has part of needle %d, %s", i, form)
				}
			}
		}
	}

	guessing := *w
	guessing.edit = sharing("if_provider_fails", true, "secret", "a-guess-of-that-secret")
	guessing.start()
	w.expectCalls(1, "with another reuse.secret", func() { guessing.enriched(guessing.ask(form())) })
	beside := w.beside()
	w.expectCalls(1, "without the client's secret", func() {
		if a := beside.ask(form("client_secret", "wrong")); a.StatusCode != 401 {
			t.Errorf("got status %d, want 401", a.StatusCode)
		}
	})
}

// encodings are the forms in which a text may be in a copy.
func encodings(text string) map[string]string {
	return map[string]string{
		"as it is":                             text,
		"in hex":                               hex.EncodeToString([]byte(text)),
		"in base64":                            strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(text)), "="),
		"in base64url, without its last bytes": base64.RawURLEncoding.EncodeToString([]byte(text[:len(text)/3*3])),
	}
}

// dump is all that Redis has: names and values.
func (w *world) dump() (all string) {
	w.Helper()
	ctx, c := context.Background(), w.redis.Client()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		w.Fatal(err)
	}
	for _, key := range keys {
		switch kind := c.Type(ctx, key).Val(); kind {
		case "string":
			all += key + "\n" + c.Get(ctx, key).Val() + "\n"
		case "hash":
			all += key + "\n" + fmt.Sprint(c.HGetAll(ctx, key).Val()) + "\n"
		default:
			w.Errorf("%s is a %s, want strings and hashes", key, kind)
		}
	}
	return all
}

// output is what the plugin's process writes to its outputs, where that is known.
func output(g kongtest.Gateway) string {
	if s, ok := g.(*kongtest.StandIn); ok {
		return s.PluginOutput()
	}
	return ""
}
