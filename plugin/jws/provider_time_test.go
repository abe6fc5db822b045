package jws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// cached returns a provider that has the key k1 cached.
func cached(t *testing.T) (*idp, *clock, *Provider) {
	t.Helper()
	s, now := newIDP(t, text(set(t, public("k1", rsaKey())))), newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")
	return s, now, p
}

// TestProviderCaches: a cached set is served while the provider is silent, but
// not for ever.
func TestProviderCaches(t *testing.T) {
	s, now, p := cached(t)
	s.answers(status(503, ""))
	now.advance(maxAge - time.Second)
	wantKeys(t, p, "k1")
	waitForFetch(p)
	now.advance(time.Second)
	wantUnavailable(t, p, "503")
	if _, err := p.Renewed(t.Context()); !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("Renewed = %v, want ErrKeysUnavailable", err)
	}
	s.answers(text(set(t, public("k2", rsaKey()))))
	now.advance(retryInterval)
	wantKeys(t, p, "k2")
}

// TestProviderRefreshes: after five minutes the set is fetched again, and nobody
// waits for it.
func TestProviderRefreshes(t *testing.T) {
	s, now, p := cached(t)
	now.advance(refreshAfter - time.Second)
	wantKeys(t, p, "k1")

	asked, proceed := make(chan struct{}), make(chan struct{})
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		close(asked) // a second request would panic
		<-proceed
		io.WriteString(w, set(t, public("k2", rsaKey())))
	})
	now.advance(time.Second)
	wantKeys(t, p, "k1")
	<-asked
	for range 50 {
		wantKeys(t, p, "k1")
	}
	close(proceed)
	waitForFetch(p)
	wantKeys(t, p, "k2")
	s.wantHits(t, 2)
}

// TestProviderRefreshFails: a failed refresh is tried again ten seconds later.
func TestProviderRefreshFails(t *testing.T) {
	s, now, p := cached(t)
	s.answers(status(503, ""))
	now.advance(refreshAfter)
	for want := int64(2); want <= 4; want++ {
		for range 3 {
			wantKeys(t, p, "k1")
			waitForFetch(p)
		}
		s.wantHits(t, want)
		now.advance(renewInterval)
	}
}

// TestProviderRenewedOnce: requests with an unknown kid make one fetch in ten
// seconds together, also during an outage. All of them get its answer.
func TestProviderRenewedOnce(t *testing.T) {
	s, now, p := cached(t)
	for _, tt := range []struct {
		after  time.Duration
		answer http.HandlerFunc
		want   string
		hits   int64
	}{
		{renewInterval, text(set(t, public("k1", rsaKey()), public("k2", ecKey()))), "k1 k2", 2},
		{renewInterval - 1, text(set(t, public("k3", ecKey()))), "k1 k2", 2},
		{1, text(set(t, public("k3", ecKey()))), "k3", 3},
		{renewInterval, status(503, ""), "k3", 4},
	} {
		s.answers(tt.answer)
		now.advance(tt.after)
		together(50, func() {
			if keys, err := p.Renewed(t.Context()); err != nil || kids(keys) != tt.want {
				t.Errorf("Renewed = %s, %v, want %s", kids(keys), err, tt.want)
			}
		})
		s.wantHits(t, tt.hits)
	}
}

// TestProviderColdStart: all who need the first set wait for one fetch.
func TestProviderColdStart(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	p := s.provider(t, newClock().Now)
	together(50, func() { wantKeys(t, p, "k1") })
	s.wantHits(t, 1)
}

// together runs f n times at once.
func together(n int, f func()) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-begin
			f()
		})
	}
	close(begin)
	wg.Wait()
}

// drip answers with one octet of a set, then waits until the client leaves.
func drip(asked chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}
}

// TestProviderWaits: a caller waits until its own deadline. The fetch continues for
// the others until Close.
func TestProviderWaits(t *testing.T) {
	asked := make(chan struct{}, 9)
	s := newIDP(t, drip(asked))
	p := s.provider(t, newClock().Now)
	patient := make(chan error)
	go func() {
		_, err := p.Keys(context.Background())
		patient <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Keys(ctx); !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Keys = %v, want ErrKeysUnavailable and the context's error", err)
	}
	select {
	case err := <-patient:
		t.Errorf("the other caller got %v, want it to wait", err)
	default:
	}
	p.Close()
	if err := <-patient; !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("Keys = %v after Close, want ErrKeysUnavailable", err)
	}
	s.wantHits(t, 1)
}

// TestProviderRenewedWaits: if the wait for the provider ends early, the keys are
// unavailable: a new one may have the kid.
func TestProviderRenewedWaits(t *testing.T) {
	s, _, p := cached(t)
	asked := make(chan struct{}, 9)
	s.answers(drip(asked))
	ctx, cancel := context.WithCancel(t.Context())
	renewed := make(chan error)
	go func() {
		_, err := p.Renewed(ctx)
		renewed <- err
	}()
	<-asked
	wantKeys(t, p, "k1") // a known kid doesn't wait
	cancel()
	if err := <-renewed; !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Renewed = %v, want ErrKeysUnavailable and the context's error", err)
	}
}

func TestProviderClosed(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	p := s.provider(t, newClock().Now)
	p.Close()
	p.Close()
	wantUnavailable(t, p)
	s.wantHits(t, 0)
}

// TestFirstLeaves: a fetch is for all who wait. If the first of them leaves, the
// others still get its answer, and the provider no second request.
func TestFirstLeaves(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	answer := text(set(t, public("k1", rsaKey())))
	s := newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		answer(w, r)
	})
	p := s.provider(t, newClock().Now)
	first, leave := context.WithCancel(t.Context())
	left, served := make(chan error, 1), make(chan error, 1)
	go func() { _, err := p.Keys(first); left <- err }()
	<-asked
	go func() { _, err := p.Keys(t.Context()); served <- err }()
	leave()
	if err := <-left; !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("Keys for who left = %v, want ErrKeysUnavailable", err)
	}
	close(release)
	if err := <-served; err != nil {
		t.Errorf("Keys for who stayed = %v, want the keys", err)
	}
	s.wantHits(t, 1)
}
