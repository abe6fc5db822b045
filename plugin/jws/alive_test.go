package jws

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

// TestAlive: every answer but 5xx is a sign of life, even one that has no keys. Asking
// for one changes nothing that is cached: neither the keys, nor when they are fetched
// again, nor how many fetches failed.
func TestAlive(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	if err := p.Alive(t.Context()); err != nil {
		t.Errorf("Alive = %v, want nil", err)
	}
	if fetched, failures := p.KeysState(); !fetched.IsZero() || failures != 0 {
		t.Errorf("the keys were fetched at %v, with %d failures, want never", fetched, failures)
	}
	wantKeys(t, p, "k1")
	fetched, _ := p.KeysState()
	now.advance(refreshAfter)
	for code, alive := range map[int]bool{200: true, 302: true, 400: true, 401: true, 404: true, 429: true, 500: false, 502: false, 503: false, 599: false} {
		s.answers(status(code, "{"))
		if err := p.Alive(t.Context()); (err == nil) != alive {
			t.Errorf("status %d: Alive = %v, want a sign of life: %t", code, err, alive)
		}
	}
	s.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := p.Alive(t.Context()); err == nil {
		t.Error("a connection that is cut: Alive = nil, want an error")
	}
	if again, failures := p.KeysState(); again != fetched || failures != 0 {
		t.Errorf("the keys were fetched at %v, with %d failures, want at %v, with none", again, failures, fetched)
	}
	s.answers(text(set(t, public("k2", rsaKey()))))
	wantKeys(t, p, "k1") // it starts the fetch that is due
	waitForFetch(p)
	wantKeys(t, p, "k2")
}

// TestAliveEnds: with its context, and with the provider.
func TestAliveEnds(t *testing.T) {
	asked := make(chan struct{}, 2)
	s := newIDP(t, func(_ http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-r.Context().Done() })
	for name, end := range map[string]func(*Provider, context.CancelFunc){
		"context":  func(_ *Provider, cancel context.CancelFunc) { cancel() },
		"provider": func(p *Provider, _ context.CancelFunc) { p.Close() },
	} {
		p := s.provider(t, newClock().Now)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; end(p, cancel) }()
		if err := p.Alive(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Alive = %v, want that it was canceled", name, err)
		}
		cancel()
	}
}
