package kinde

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

// hook is a webhook of a tenant that has one organization, whose record is in
// Redis.
type hook struct {
	*synced
	*Webhook
	proxy *redistest.Proxy

	mu   sync.Mutex
	logs []string
}

func startHook(t *testing.T) *hook {
	s := startSynced(t)
	h := &hook{synced: s, proxy: redistest.StartProxy(t, s.server.Addr())}
	keys := jws.NewProvider(s.tenant.Issuer(), s.tenant.JWKSURI(), nil, time.Now)
	t.Cleanup(func() { keys.Close() })
	verifier := jws.NewVerifier(s.tenant.Issuer(), []string{"RS256"}, 0, keys, time.Now)
	verify := func(ctx context.Context, event string) ([]byte, error) {
		payload, err := verifier.Payload(ctx, event)
		if errors.Is(err, jws.ErrKeysUnavailable) {
			err = fmt.Errorf("%w: %w", schema.ErrUnavailable, err)
		}
		return payload, err
	}
	h.Webhook = NewWebhook(s.Client, s.open(h.proxy.Port()), verify, func(line string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.logs = append(h.logs, line)
	})
	h.organization("before", false)
	h.record("org_a", schema.Record{"name": "before", "is_suspended": "false"})
	t.Cleanup(func() { h.expectNothingSecret(t, strings.Join(h.logs, "\n")) })
	return h
}

// organization sets what the tenant says of org_a.
func (h *hook) organization(name string, suspended bool) {
	h.synced.tenant.SetOrganization(idptest.Organization{Code: "org_a", Name: name, IsSuspended: suspended})
}

// record writes the record of an organization.
func (h *hook) record(code string, properties schema.Record) {
	h.Helper()
	if _, err := h.synced.store.Put(h.T.Context(), schema.Organization, []records.Entry{{ID: code, Properties: properties}}, records.Write); err != nil {
		h.Fatal(err)
	}
}

// event returns an event of an organization.
func (h *hook) event(kind, code string) string {
	return h.tenant.Webhook(kind, map[string]any{"organization": map[string]any{"code": code, "name": "what the event says"}})
}

// post sends an event and expects status.
func (h *hook) post(body string, status int) {
	h.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(h.T.Context(), http.MethodPost, "/kinde/webhook", strings.NewReader(body)))
	h.mu.Lock()
	shown := w.Body.String() + strings.Join(h.logs, "\n")
	h.mu.Unlock()
	if w.Code != status {
		h.Errorf("got status %d, want %d: %s", w.Code, status, shown)
	}
	if body != "" && strings.Contains(shown, body) {
		h.Error("the event is shown")
	}
}

// expectRecord expects that org_a is the only record, with this name, or that there
// is none.
func (h *hook) expectRecord(name string, suspended bool) {
	h.Helper()
	want := map[string]schema.Record{}
	if name != "" {
		want["org:org_a"] = schema.Record{"code": "org_a", "name": name, "is_suspended": fmt.Sprint(suspended)}
	}
	if got := h.dump(); !maps.Equal(got["org:org_a"], want["org:org_a"]) || len(got) != len(want) {
		h.Errorf("got %v, want %v", got, want)
	}
}

func TestWebhookUpdates(t *testing.T) {
	h := startHook(t)
	h.organization("after", true)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	h.expectRecord("after", true)
	h.organization("after", false)
	h.post(" \n"+h.event(eventOfUpdate, "org_a")+"\r\n", 204)
	h.expectRecord("after", false)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	h.expectRecord("after", false)
}

func TestWebhookDeletes(t *testing.T) {
	h := startHook(t)
	h.tenant.RemoveOrganization("org_a")
	h.post(h.event(eventOfDelete, "org_a"), 204)
	h.expectRecord("", false)
	h.post(h.event(eventOfDelete, "org_a"), 204)
	h.post(h.event(eventOfUpdate, "org_a"), 204)
	h.expectRecord("", false)
}

// TestWebhookReplays: an old event makes the record what the tenant says now.
func TestWebhookReplays(t *testing.T) {
	h := startHook(t)
	update, deletion := h.event(eventOfUpdate, "org_a"), h.event(eventOfDelete, "org_a")
	h.organization("later", true)
	h.post(deletion, 204) // late: it exists again
	h.expectRecord("later", true)
	h.post(update, 204)
	asked := h.tenant.Hits("/api/v1/organization")
	h.post(update, 204)
	h.post(deletion, 204)
	h.expectRecord("later", true)
	if h.tenant.Hits("/api/v1/organization") != asked {
		t.Error("a handled event was handled again")
	}
	h.tenant.RemoveOrganization("org_a")
	h.post(h.event(eventOfUpdate, "org_a"), 204) // before the deletion's own
	h.expectRecord("", false)
}

// TestWebhookIgnores: the tenant isn't asked about what has no record.
func TestWebhookIgnores(t *testing.T) {
	h := startHook(t)
	h.organization("after", true)
	h.tenant.SetOrganization(idptest.Organization{Code: "org_b", Name: "B"})
	for _, kind := range []string{"organization.created", "user.updated", "Organization.Updated", "", "application.deleted"} {
		h.post(h.event(kind, "org_a"), 204)
	}
	h.post(h.event(eventOfUpdate, "org_b"), 204) // no application names it
	h.post(h.event(eventOfDelete, "org_c"), 204)
	h.expectRecord("before", false)
	if n := h.tenant.Hits("/api/v1/organization"); n > 0 {
		t.Errorf("the tenant was asked %d times", n)
	}
}

func TestWebhookRefuses(t *testing.T) {
	h := startHook(t)
	h.organization("after", true)
	good := h.event(eventOfUpdate, "org_a")
	parts := strings.Split(good, ".")
	kid, private := h.tenant.Key()
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	confused := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"type": eventOfUpdate, "data": map[string]any{"organization": map[string]any{"code": "org_a"}}})
	confused.Header["kid"] = kid
	hs256, err := confused.SignedString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	other, err := idptest.StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"another signature":    {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 401},
		"no signature":         {parts[0] + "." + parts[1] + ".", 401},
		"another payload":      {parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2], 401},
		"alg none":             {none + "." + parts[1] + ".", 401},
		"alg none, signed":     {none + "." + parts[1] + "." + parts[2], 401},
		"HS256, the key":       {hs256, 401},
		"another tenant":       {other.Webhook(eventOfUpdate, map[string]any{"organization": map[string]any{"code": "org_a"}}), 401},
		"garbage":              {"garbage", 401},
		"JSON":                 {`{"type":"organization.updated"}`, 401},
		"nothing":              {"", 401},
		"two":                  {good + "\n" + good, 401},
		"too large":            {strings.Repeat(good, 1+maxEvent/len(good)), 413},
		"large, of spaces":     {good + strings.Repeat(" ", maxEvent), 413},
		"no code":              {h.event(eventOfUpdate, ""), 400},
		"an odd code":          {h.event(eventOfUpdate, "a\nb"), 400},
		"a space at an end":    {h.event(eventOfUpdate, "org_a "), 400},
		"data of another form": {h.tenant.Webhook(eventOfUpdate, map[string]any{"organization": "org_a"}), 400},
	} {
		t.Run(name, func(t *testing.T) { h.post(c.body, c.status) })
	}
	h.expectRecord("before", false)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(good)))
		if w.Code != 405 || w.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: status %d", method, w.Code)
		}
	}
	h.post(good, 204)
	h.expectRecord("after", true)
}

// TestWebhookInTrouble: an event that can't be handled now is sent again, and
// handled then.
func TestWebhookInTrouble(t *testing.T) {
	for name, c := range map[string]struct{ begin, end func(*hook) }{
		"the API fails": {
			func(h *hook) { h.answer("/api/v1/organization", 500, "") },
			func(h *hook) { h.tenant.Replace("/api/v1/organization", nil) },
		},
		"the API refuses": {
			func(h *hook) { h.answer("/api/v1/organizations/org_a/properties", 403, "") },
			func(h *hook) { h.tenant.Replace("/api/v1/organizations/org_a/properties", nil) },
		},
		"a proxy's 404": {
			func(h *hook) { h.answer("/api/v1/organization", 404, "<html>") },
			func(h *hook) { h.tenant.Replace("/api/v1/organization", nil) },
		},
		"Redis is away": {
			func(h *hook) { h.proxy.Refuse(); h.proxy.Drop() },
			func(h *hook) { h.proxy.Pass() },
		},
		"Redis takes no writes": {
			func(h *hook) { h.server.Client().ConfigSet(h.T.Context(), "maxmemory", "1") },
			func(h *hook) { h.server.Client().ConfigSet(h.T.Context(), "maxmemory", "0") },
		},
		"no keys": {
			func(h *hook) { h.answer("/.well-known/jwks", 500, "") },
			func(h *hook) { h.tenant.Replace("/.well-known/jwks", nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHook(t)
			h.organization("after", true)
			event := h.event(eventOfUpdate, "org_a")
			c.begin(h)
			h.post(event, 503)
			c.end(h)
			h.expectRecord("before", false)
			if name == "no keys" {
				return // they aren't asked for again at once
			}
			h.post(event, 204)
			h.expectRecord("after", true)
		})
	}
}

// TestWebhookAtOnce: after many events of one organization at once, its record is
// the tenant's latest answer.
func TestWebhookAtOnce(t *testing.T) {
	h := startHook(t)
	var events sync.WaitGroup
	for i := range 30 {
		h.organization(fmt.Sprint("name ", i), i%2 == 0)
		events.Go(func() { h.post(h.event(eventOfUpdate, "org_a"), 204) })
	}
	events.Wait()
	h.expectRecord("name 29", false)
}

// TestWebhookRemembers a limited number of events.
func TestWebhookRemembers(t *testing.T) {
	h := startHook(t)
	for i := range maxHandled + 10 {
		h.handled.Add(fmt.Sprint("event_", i), struct{}{})
	}
	if n := h.handled.Len(); n != maxHandled {
		t.Errorf("got %d remembered events, want %d", n, maxHandled)
	}
}

// TestWaitForAnEarlierEvent ends with the context.
func TestWaitForAnEarlierEvent(t *testing.T) {
	l := newLocks()
	ctx, cancel := context.WithCancel(t.Context())
	unlock, err := l.lock(ctx, "org_a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cancel()
	if _, err := l.lock(ctx, "org_a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
