package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
)

// Of requests that wait for another one's answer: the time that they have where the
// answer doesn't come, and how long they may take, which is much less than Kong waits.
const (
	ownTime   = 2 * time.Second
	waitLimit = 10 * time.Second
)

// reaches waits until n requests have reached the provider since it had had before.
func (w *world) reaches(before, n int) {
	w.Helper()
	w.eventually(func() error {
		if got := w.calls() - before; got < n {
			return fmt.Errorf("%d requests reach the provider, want %d", got, n)
		}
		return nil
	})
}

// gives changes how long the requests may take, and waits until that counts.
func (w *world) gives(time time.Duration) {
	w.Helper()
	w.reload(func(c map[string]any) {
		reusing()(c)
		c["timeout"] = time.Milliseconds()
		claim("time", "value", time.String())(c)
	})
	w.eventually(func() error {
		if got := w.enriched(w.ask(form()))["time"]; got != time.String() {
			return fmt.Errorf("%w: requests have %v", errNotYet, got)
		}
		return nil
	})
	w.reuses(nil)
}

// TestReuseWaits: identical requests wait for the first one's answer, but no longer
// than their time.
func TestReuseWaits(t *testing.T) {
	t.Parallel() // it mostly waits
	w := newReusing(t)
	for _, tt := range []struct {
		name  string
		time  time.Duration // of each request
		play  func(ctx context.Context, c *crowd, before int)
		calls int // at most
		lost  int // how many clients get no token
	}{
		{"one call for all", waitLimit, func(ctx context.Context, c *crowd, before int) {
			release := w.hold(true)
			c.ask(ctx, w, 16, form("scope", "all"))
			w.reaches(before, 1)
			release()
		}, 1, 0},
		{"the first one fails", waitLimit, func(ctx context.Context, c *crowd, before int) {
			var asked atomic.Int32
			good := w.issue(200)
			w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					rw.WriteHeader(500)
					return
				}
				good(rw, r)
			}})
			c.ask(ctx, w, 8, form("scope", "fails"))
		}, 8, 1},
		{"the provider never answers", ownTime, func(ctx context.Context, c *crowd, before int) {
			release, begun := w.hold(false), time.Now()
			c.ask(ctx, w, 8, form("scope", "never"))
			w.reaches(before, 8)
			if took := time.Since(begun); took > 3*ownTime { // one after another they would wait for four times it at least
				t.Errorf("the last request waited for %v, want %v at most", took, ownTime)
			}
			release()
		}, 8, 0},
		{"the first client leaves", ownTime, func(ctx context.Context, c *crowd, before int) {
			release := w.hold(true)
			leaving, leave := context.WithCancel(ctx)
			var first crowd
			first.ask(leaving, w, 1, form("scope", "leaves"))
			w.reaches(before, 1)
			c.ask(ctx, w, 8, form("scope", "leaves"))
			leave()
			first.running.Wait()
			c.running.Wait() // without the answer to the first
			release()
		}, 9, 0},
	} {
		w.Run(tt.name, func(t *testing.T) {
			w.gives(tt.time)
			before := w.calls()
			c := &crowd{}
			tt.play(t.Context(), c, before)
			if lost := c.lost(t, waitLimit); lost != tt.lost {
				t.Errorf("%d clients got no token, want %d", lost, tt.lost)
			}
			if got := w.calls() - before; got > tt.calls {
				t.Errorf("got %d calls to the provider, want %d at most", got, tt.calls)
			}
			w.provider.Misbehave(idptest.Fault{})
		})
	}
}

// TestReusePluginKilled: the plugin's process is killed while requests wait for the
// first one's answer. Each ends in time, and the next process serves.
func TestReusePluginKilled(t *testing.T) {
	w := newReusing(t)
	g := w.standIn()
	w.enriched(w.ask(form()))
	release, before := w.hold(true), w.calls()
	c := &crowd{}
	c.ask(t.Context(), w, 8, form("scope", "killed"))
	w.reaches(before, 1)
	g.KillPlugin()
	release()
	c.lost(t, waitLimit) // Kong itself may answer those that were under way
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != 200 {
			return fmt.Errorf("status %d", a.StatusCode)
		}
		return nil
	})
	w.reuses(nil)
	w.enriched(w.ask(form()))
	w.expectCalls(0, "in the next process", func() { w.enriched(w.ask(form())) })
}

// TestReuseTwoProcesses: on kong reload, the old process and the new one serve side
// by side. No request fails or waits for an answer that the other process gets, and
// a change takes effect in both.
func TestReuseTwoProcesses(t *testing.T) {
	w := newReusing(t)
	g := w.standIn()
	load := w.startTraffic(4)
	load.serves(20)
	end, err := g.RestartPlugin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		c := &crowd{}
		c.ask(t.Context(), w, 8, form("scope", fmt.Sprint("both-", n)))
		if lost := c.lost(t, waitLimit); lost != 0 {
			t.Errorf("%d clients got no token", lost)
		}
	}
	load.serves(20) // by both
	w.record("org:"+org, "name", "Acme Ltd")
	for range 16 {
		if got := w.enriched(w.send(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, w.tokenRequest(form())))["org_name"]; got != "Acme Ltd" {
			t.Errorf("got the name %v, want the changed one", got)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	load.serves(20)
	load.endWithoutFailure()
}
