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

// TestProviderCaches: a cached set is served while the provider is silent, but
// not for ever.
func TestProviderCaches(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")
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

// TestProviderRefreshes: after five minutes the set is fetched anew, and
// nobody waits for it.
func TestProviderRefreshes(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")
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
	if hits := s.hits.Load(); hits != 2 {
		t.Errorf("the provider was asked %d times, want 2", hits)
	}
}

// TestProviderRefreshFails: a failed refresh is tried again ten seconds later.
func TestProviderRefreshFails(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")
	s.answers(status(503, ""))
	now.advance(refreshAfter)
	for want := int64(2); want <= 4; want++ {
		for range 3 {
			wantKeys(t, p, "k1")
			waitForFetch(p)
		}
		if hits := s.hits.Load(); hits != want {
			t.Fatalf("the provider was asked %d times, want %d", hits, want)
		}
		now.advance(renewInterval)
	}
}

// TestProviderRenewedOnce: requests with an unknown kid make one fetch in ten
// seconds together, and those that come meanwhile get its answer.
func TestProviderRenewedOnce(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")

	s.answers(text(set(t, public("k1", rsaKey()), public("k2", ecKey()))))
	now.advance(renewInterval)
	together(50, func() {
		keys, err := p.Renewed(t.Context())
		if err != nil || kids(keys) != "k1 k2" {
			t.Errorf("Renewed = %s, %v, want the new set", kids(keys), err)
		}
	})
	if hits := s.hits.Load(); hits != 2 {
		t.Errorf("the provider was asked %d times, want 2", hits)
	}

	now.advance(renewInterval - 1)
	together(50, func() { p.Renewed(t.Context()) })
	if hits := s.hits.Load(); hits != 2 {
		t.Errorf("the provider was asked %d times within ten seconds, want 2", hits)
	}
	now.advance(1)
	together(50, func() { p.Renewed(t.Context()) })
	if hits := s.hits.Load(); hits != 3 {
		t.Errorf("the provider was asked %d times, want 3", hits)
	}
}

// TestProviderRenewedFails: an unknown kid during an outage asks once in ten
// seconds, too.
func TestProviderRenewedFails(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	now := newClock()
	p := s.provider(t, now.Now)
	wantKeys(t, p, "k1")
	s.answers(status(503, ""))
	now.advance(renewInterval)
	together(50, func() {
		if keys, err := p.Renewed(t.Context()); err != nil || kids(keys) != "k1" {
			t.Errorf("Renewed = %s, %v, want the held set", kids(keys), err)
		}
	})
	if hits := s.hits.Load(); hits != 2 {
		t.Errorf("the provider was asked %d times, want 2", hits)
	}
}

// TestProviderColdStart: all that wait for the first set wait for one fetch.
func TestProviderColdStart(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	p := s.provider(t, newClock().Now)
	together(50, func() { wantKeys(t, p, "k1") })
	if hits := s.hits.Load(); hits != 1 {
		t.Errorf("the provider was asked %d times", hits)
	}
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

// drip answers with one octet of a set, and no more until the client is gone.
func drip(asked chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}
}

// TestProviderWaits: a caller waits until its own deadline, the fetch goes on
// for the others, and Close ends it.
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
		t.Errorf("the other caller got %v", err)
	default:
	}
	p.Close()
	if err := <-patient; !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("Keys = %v after Close, want ErrKeysUnavailable", err)
	}
	if hits := s.hits.Load(); hits != 1 {
		t.Errorf("the provider was asked %d times", hits)
	}
}

// TestProviderRenewedWaits: whether a kid is known isn't known when the wait
// for the provider ends early.
func TestProviderRenewedWaits(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	p := s.provider(t, newClock().Now)
	wantKeys(t, p, "k1")
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
	if hits := s.hits.Load(); hits != 0 {
		t.Errorf("the provider was asked %d times", hits)
	}
}

// TestFirstLeaves: a fetch is for all that wait. That the one for whom it began
// waits no longer costs the others nothing, nor the provider another request.
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
		t.Errorf("who left got %v", err)
	}
	close(release)
	if err := <-served; err != nil {
		t.Errorf("who stayed got %v", err)
	}
	if hits := s.hits.Load(); hits != 1 {
		t.Errorf("the provider was asked %d times", hits)
	}
}
