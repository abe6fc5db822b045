package reuse_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

var (
	hourClients = flag.Int("hour.clients", 4, "how many clients TestFleetHour has")
	hourNodes   = flag.Int("hour.gateways", 10, "how many gateways TestFleetHour has")
)

// hour is a fleet of gateways that share answers, with the usual times of reuse.
func hour(t *testing.T, outages bool) *world {
	return newWorld(t, rand.New(rand.NewPCG(1, 1)), settings{
		nodes: *hourNodes, shared: true, coalesce: true, outages: outages, calm: !outages,
		maxAge: 300 * time.Second, least: time.Minute, life: 2 * time.Hour, share: 0.75,
	})
}

// ask lets each client ask for a token once every period, each time at any gateway, and
// returns how many requests there were and how many failed.
func (w *world) ask(clients int, every, long time.Duration) (requests, failed int) {
	for n := range clients {
		w.requests.Go(func() {
			q := request{client: w.clients[n*10]}.complete() // a usual client
			time.Sleep(w.upToTime(every))
			for range long / every {
				node := w.node()
				w.requests.Go(func() {
					ok := node.serve(q)
					w.mu.Lock()
					defer w.mu.Unlock()
					requests++
					if !ok {
						failed++
					}
				})
				time.Sleep(every)
			}
		})
	}
	w.requests.Wait()
	return requests, failed
}

// TestFleetHour: of clients that ask for a token every second, the provider sees each about
// once in max_age, however many gateways share the answers.
func TestFleetHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hour(t, false)
		requests, failed := w.ask(*hourClients, time.Second, time.Hour)
		w.end()
		usual := float64(*hourClients) * time.Hour.Seconds() / w.maxAge.Seconds()
		t.Logf("%d clients that ask every second for an hour on %d gateways: %d requests, %d calls to the provider, %.3f × clients × time / max_age",
			*hourClients, *hourNodes, requests, w.counts.calls, float64(w.counts.calls)/usual)
		if failed > 0 {
			t.Errorf("got %d failed requests, want 0", failed)
		}
		if float64(w.counts.calls) > 1.05*usual {
			t.Errorf("got %d calls to the provider, want at most %.0f", w.counts.calls, 1.05*usual)
		}
	})
}

// TestFleetOutage: with if_provider_fails, a client that was served before the
// provider failed gets its token all the time.
func TestFleetOutage(t *testing.T) {
	for name, test := range map[string]struct {
		mode, pause string
		keysUp      bool
		known       bool // the token endpoint
		unserved    bool // some requests get none, because nothing says that the provider is away
	}{
		"503":                                {mode: "failing", keysUp: true},
		"429":                                {mode: "limited", keysUp: true},
		"429 with Retry-After":               {mode: "limited", keysUp: true, pause: "60"},
		"silence, key set away":              {mode: "silent"},
		"silence, token endpoint known":      {mode: "silent", keysUp: true, known: true},
		"503, token endpoint known":          {mode: "failing", keysUp: true, known: true},
		"silence of the token endpoint only": {mode: "silent", keysUp: true, unserved: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := hour(t, true)
				w.endpointKnown = test.known
				w.ask(5, time.Second, 10*time.Second)
				before := w.counts.calls
				w.provider.become(test.mode, test.keysUp, test.pause)
				requests, failed := w.ask(5, 20*time.Second, time.Hour)
				w.end()
				t.Logf("an outage of an hour (%s): %d requests, %d calls to the provider, %d failed", name, requests, w.counts.calls-before, failed)
				if failed > 0 != test.unserved {
					t.Errorf("got %d failed requests of %d, want some %t", failed, requests, test.unserved)
				}
			})
		})
	}
}
