package reuse

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPause: a Retry-After is seconds or a date, and counts for an hour at most.
func TestPause(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for retryAfter, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		" 30 ":                           30 * time.Second,
		"3600":                           time.Hour,
		"3601":                           time.Hour,
		"99999999999999999999999999":     time.Hour,
		"-1":                             0,
		"+1":                             0,
		"1.5":                            0,
		"1, 2":                           0,
		"soon":                           0,
		"Fri, 27 Nov 2026 12:00:05 GMT":  5 * time.Second,
		"Friday, 27-Nov-26 12:00:05 GMT": 5 * time.Second,
		"Fri, 27 Nov 2026 11:59:59 GMT":  0,
		"Fri, 27 Nov 2099 12:00:00 GMT":  time.Hour,
		"Fri, 27 Nov 1626 12:00:00 GMT":  0,
	} {
		if got := pause(retryAfter, now); got != want {
			t.Errorf("Retry-After: %q: got %v, want %v", retryAfter, got, want)
		}
	}
}

// probed is a provider that counts probes and answers them as told.
type probed struct {
	*provider
	asked atomic.Int64
	fail  atomic.Bool
	takes atomic.Int64 // time.Duration
}

func newProbed(t *testing.T) *probed {
	p := &probed{}
	p.provider = newProvider(func(ctx context.Context) error {
		p.asked.Add(1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(p.takes.Load())):
		}
		if p.fail.Load() {
			return errors.New("no route to host")
		}
		return nil
	}, 500*time.Millisecond, time.Now)
	t.Cleanup(p.close)
	return p
}

func (p *probed) expect(t *testing.T, when string, alive bool, asked int64, within time.Duration) {
	t.Helper()
	started := time.Now()
	if got := p.alive(t.Context()); got != alive {
		t.Errorf("%s: got alive %t, want %t", when, got, alive)
	}
	if got := time.Since(started); got > within {
		t.Errorf("%s: got the answer after %v, want %v at most", when, got, within)
	}
	synctest.Wait()
	if got := p.asked.Load(); got != asked {
		t.Errorf("%s: got %d probes so far, want %d", when, got, asked)
	}
}

// TestSignOfLife: any answer to a token request counts for a second; without one the
// provider is probed, and a failed probe counts until a later one succeeds.
func TestSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.answered()
		time.Sleep(999 * time.Millisecond)
		p.expect(t, "0.999 s after an answer", true, 0, 0)
		time.Sleep(time.Millisecond)
		p.expect(t, "a second after it", true, 1, 0)
		time.Sleep(time.Second)
		p.fail.Store(true)
		p.expect(t, "a probe that fails", false, 2, 0)
		time.Sleep(999 * time.Millisecond)
		p.expect(t, "0.999 s after it", false, 2, 0)
		time.Sleep(time.Millisecond)
		p.expect(t, "a second after it", false, 3, 0)
		p.answered()
		p.expect(t, "after an answer", true, 3, 0)
	})
}

// TestProbesInTheBackground: while probes fail slowly, only the first request waits,
// half of its time, and recovery is noticed.
func TestProbesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.takes.Store(int64(time.Minute))
		p.expect(t, "the first", false, 1, 500*time.Millisecond)
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			started := time.Now()
			if p.alive(t.Context()) || time.Since(started) > 0 {
				t.Errorf("in the outage: got a sign of life, or the answer after %v", time.Since(started))
			}
		}
		if got := p.asked.Load(); got != 3 {
			t.Errorf("got %d probes in 5.5 s, want 3", got)
		}
		p.takes.Store(0)
		time.Sleep(probeTime)
		p.alive(t.Context())
		synctest.Wait()
		p.expect(t, "after recovery", true, p.asked.Load(), 0)
	})
}

// TestSlowProvider: a sign of life that comes when nobody waits for it counts for the next
// request, so a slow provider is asked, too.
func TestSlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.takes.Store(int64(600 * time.Millisecond))
		p.expect(t, "the first", false, 1, 500*time.Millisecond)
		time.Sleep(lateCounts)
		p.expect(t, "the next", true, 1, 0)
		p.expect(t, "the one after it", false, 2, 500*time.Millisecond)
		time.Sleep(lateCounts + 100*time.Millisecond)
		p.expect(t, "much later", false, 3, 500*time.Millisecond)
	})
}

// TestProbeIsJoined: requests that come together make one probe, and at most one a
// second.
func TestProbeIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.takes.Store(int64(100 * time.Millisecond))
		for range 50 { // 5 s
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if !p.alive(t.Context()) {
						t.Error("got no sign of life")
					}
				})
			}
			all.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		if got := p.asked.Load(); got > 10 {
			t.Errorf("got %d probes in 10 s, want at most 10", got)
		}
	})
}

// TestRefusedByProvider: the provider counts as away until its Retry-After, also if it
// answers others meanwhile.
func TestRefusedByProvider(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		away   bool
	}{"429": {429, true}, "503": {503, true}, "500": {500, false}, "502": {502, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProbed(t)
				p.refused(test.status, "10")
				p.refused(test.status, "5") // never shortens
				p.answered()
				p.expect(t, "at once", !test.away, 0, 0)
				time.Sleep(9999 * time.Millisecond)
				p.answered()
				p.expect(t, "before it", !test.away, 0, 0)
				time.Sleep(time.Millisecond)
				p.expect(t, "after it", true, 0, 0)
			})
		})
	}
}

// TestProbeFailsBehindAnAnswer: an answer that comes while a probe fails is a sign of
// life.
func TestProbeFailsBehindAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.fail.Store(true)
		p.takes.Store(int64(100 * time.Millisecond))
		go func() {
			time.Sleep(50 * time.Millisecond)
			p.answered()
		}()
		p.expect(t, "a probe during which the provider answers", true, 1, 100*time.Millisecond)
		p.fail.Store(false)
		time.Sleep(950 * time.Millisecond)
		p.expect(t, "a second after the answer", true, 2, 100*time.Millisecond)
	})
}

// TestProbePanics: a probe that panics failed.
func TestProbePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(func(context.Context) error { panic("a bug") }, time.Second, time.Now)
		defer p.close()
		if p.alive(t.Context()) {
			t.Error("got a sign of life")
		}
	})
}

// TestWaitForProbe: nobody waits past the end of the request, nor for a gateway that is
// closed.
func TestWaitForProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbed(t)
		p.takes.Store(int64(time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		started := time.Now()
		if p.alive(ctx); time.Since(started) != 10*time.Millisecond {
			t.Errorf("got the answer after %v, want 10ms", time.Since(started))
		}
		go p.close()
		started = time.Now()
		if p.alive(t.Context()) || time.Since(started) > 0 {
			t.Errorf("closed: got a sign of life, or the answer after %v", time.Since(started))
		}
	})
}
