package kinde

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
)

const tokenPath = "/oauth2/token"

// expectTokens expects that n tokens were requested so far.
func (w *world) expectTokens(t *testing.T, n int) {
	t.Helper()
	if hits := w.tenant.Hits(tokenPath); hits != n {
		t.Errorf("got %d token requests, want %d", hits, n)
	}
}

func (w *world) list(t *testing.T) {
	t.Helper()
	if _, err := w.all(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTokenIsReused until shortly before it expires.
func TestTokenIsReused(t *testing.T) {
	for lifetime, margin := range map[int]time.Duration{3600: time.Minute, 100: 10 * time.Second} {
		w := start(t)
		w.tenant.SetLifetime(lifetime)
		whole := time.Duration(lifetime) * time.Second
		w.list(t)
		w.now = w.now.Add(whole - margin - 1)
		w.list(t)
		w.expectTokens(t, 1)
		w.now = w.now.Add(1)
		w.list(t)
		w.expectTokens(t, 2)
	}
}

// TestOneTokenForAll: parallel callers wait for the same token.
func TestOneTokenForAll(t *testing.T) {
	w := start(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { w.list(t) })
	}
	all.Wait()
	w.expectTokens(t, 1)
}

// TestWaitForATokenEnds with the context of each caller.
func TestWaitForATokenEnds(t *testing.T) {
	w := start(t)
	asked, release := make(chan struct{}), make(chan struct{})
	w.tenant.Replace(tokenPath, func(rw http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		rw.WriteHeader(http.StatusBadRequest)
	})
	var first sync.WaitGroup
	first.Go(func() {
		_, err := w.all(t.Context())
		w.expectError(t, err, "get a token: POST /oauth2/token: status 400")
	})
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.all(ctx)
	w.expectError(t, err, "wait for a token")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	first.Wait()
}

// TestUnauthorizedOnce: a token that the API refuses is replaced.
func TestUnauthorizedOnce(t *testing.T) {
	w := start(t)
	w.list(t)
	w.tenant.RevokeTokens()
	w.list(t)
	w.list(t)
	w.expectTokens(t, 2)
	if len(w.waited()) > 0 {
		t.Errorf("it waited %v", w.waited())
	}
}

// TestUnauthorizedTwice: it is replaced only once.
func TestUnauthorizedTwice(t *testing.T) {
	w := start(t)
	w.tenant.FailCall(1, http.StatusUnauthorized)
	w.tenant.FailCall(2, http.StatusUnauthorized)
	_, err := w.all(t.Context())
	w.expectError(t, err, "GET /api/v1/applications: status 401")
	w.expectTokens(t, 2)
}

func TestWrongCredentials(t *testing.T) {
	w := start(t)
	w.tenant.Add("sync", "another")
	_, err := w.all(t.Context())
	w.expectError(t, err, "get a token: POST /oauth2/token: status 401", `"invalid_client"`)
	w.expectTokens(t, 1)
}

func TestHostileTokens(t *testing.T) {
	w := start(t)
	for name, c := range map[string]struct{ body, says string }{
		"null":                  {`null`, "not a JSON object"},
		"none":                  {`{"token_type":"bearer","expires_in":60}`, "access_token"},
		"one with a line":       {`{"access_token":"a\r\nb","token_type":"bearer","expires_in":60}`, "access_token"},
		"a number":              {`{"access_token":7,"token_type":"bearer","expires_in":60}`, "access_token"},
		"of another type":       {`{"access_token":"hidden","token_type":"mac","expires_in":60}`, "token_type"},
		"without an end":        {`{"access_token":"hidden","token_type":"bearer"}`, "expires_in"},
		"that has ended":        {`{"access_token":"hidden","token_type":"bearer","expires_in":-1}`, "expires_in"},
		"that ends in a text":   {`{"access_token":"hidden","token_type":"bearer","expires_in":"60"}`, "expires_in"},
		"that ends who knows":   {`{"access_token":"hidden","token_type":"bearer","expires_in":1e99}`, "expires_in"},
		"longer than an answer": {`{"access_token":"` + strings.Repeat("a", maxAnswer) + `"}`, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			w.answer(tokenPath, http.StatusOK, c.body)
			_, err := w.all(t.Context())
			w.expectError(t, err, "get a token", c.says)
			if strings.Contains(err.Error(), "hidden") || w.tenant.Hits("/api/v1/applications") > 0 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLongLife: no token is cached for longer than a day.
func TestLongLife(t *testing.T) {
	w := start(t)
	w.tenant.Misbehave(idptest.Fault{Body: func(body map[string]any) { body["expires_in"] = int64(1) << 62 }})
	w.list(t)
	w.now = w.now.Add(maxLifetime)
	w.list(t)
	w.expectTokens(t, 2)
}
