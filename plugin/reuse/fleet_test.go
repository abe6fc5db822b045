package reuse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// redis keeps shared answers in memory, as Redis does.
type redis struct {
	mu     sync.Mutex
	values map[string][]byte
	ends   map[string]time.Time
	reads  int
	spoil  func(name string, value []byte) ([]byte, error) // what is read instead
}

func newRedis() *redis { return &redis{values: map[string][]byte{}, ends: map[string]time.Time{}} }

func (r *redis) SharedAnswer(ctx context.Context, name string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	value := r.values[name]
	if !time.Now().Before(r.ends[name]) {
		value = nil
	}
	if r.spoil != nil {
		return r.spoil(name, value)
	}
	return value, nil
}

func (r *redis) ShareAnswer(name string, value []byte, life time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[name], r.ends[name] = value, time.Now().Add(life)
}

// inFleet runs a test with gateways that share their answers.
func inFleet(t *testing.T, change func(*schema.Config), f func(*testing.T, *redis, *gateway, *gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRedis()
		f(t, r, open(t, change, r), open(t, change, r))
	})
}

// TestFleet: a gateway gives what another one holds, and asks Redis once.
func TestFleet(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, r *redis, one, other *gateway) {
		first := one.expect("one gateway", request(), enrich.Enriched, 1)
		again := other.expect("another gateway", request(), enrich.Reused, 0)
		if string(first.Body) != string(again.Body) {
			t.Errorf("got %s, want %s", again.Body, first.Body)
		}
		reads := r.reads
		other.expect("its repeat", request(), enrich.Reused, 0)
		if r.reads != reads {
			t.Errorf("got %d reads for a repeat, want none", r.reads-reads)
		}
		third := open(t, nil, r)
		for _, r := range third.all(100, request()) {
			if r.Outcome != enrich.Reused {
				t.Errorf("got %s, want %s", r.Outcome, enrich.Reused)
			}
		}
		if r.reads != reads+1 {
			t.Errorf("got %d reads for requests at once, want 1", r.reads-reads)
		}
		q := request()
		q.Authorization = "Basic YXBwOmd1ZXNz"
		other.expect("another secret", q, enrich.Enriched, 1)
	})
}

// TestClientFillsRedis: a client that asks in ever new ways has few answers in Redis, which
// has the records, too. They are replaced as they expire.
func TestClientFillsRedis(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, r *redis, one, _ *gateway) {
		for round := range 2 {
			for n := range 10 * maxPerClient {
				q := request()
				q.Host = fmt.Sprint(round, n)
				one.provider = func(*Request) reply { return reply{} }
				one.expect("another request", q, enrich.Enriched, one.calls.Load()+1)
			}
			if want := (round + 1) * maxPerClient; len(r.values) != want {
				t.Errorf("round %d: got %d answers in Redis, want %d", round, len(r.values), want)
			}
			time.Sleep(300 * time.Second)
		}
	})
}

// TestOtherFleet: gateways with another secret or another configuration find nothing.
func TestOtherFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRedis()
		open(t, nil, r).expect("one gateway", request(), enrich.Enriched, 1)
		open(t, func(cfg *schema.Config) { cfg.Reuse.Secret += "!" }, r).expect("another secret of the fleet", request(), enrich.Enriched, 1)
		other := open(t, nil, r)
		other.o.Identity[0] = 1
		other.expect("another configuration", request(), enrich.Enriched, 1)
	})
}

// TestSharedAges: a shared answer has the age that it has, and is kept in Redis only as
// long as it is of use.
func TestSharedAges(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*schema.Config)
		until  time.Duration
	}{
		"max_age":           {nil, 300 * time.Second},
		"if_provider_fails": {ifProviderFails, 59 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, test.change, func(t *testing.T, r *redis, one, other *gateway) {
				one.provider = func(*Request) reply { return reply{} }
				one.expect("one gateway", request(), enrich.Enriched, 1)
				for _, end := range r.ends {
					if life := time.Until(end); life.Round(time.Second) != test.until {
						t.Errorf("got a life of %v in Redis, want %v", life, test.until)
					}
				}
				time.Sleep(300*time.Second - time.Millisecond)
				third := open(t, test.change, r)
				third.expect("before max_age", request(), enrich.Reused, 0)
				time.Sleep(time.Millisecond)
				third.expect("at max_age", request(), enrich.Enriched, 1)
			})
		})
	}
}

// TestSharedInOutage: an old answer of another gateway is given while the provider fails.
func TestSharedInOutage(t *testing.T) {
	for name, fail := range map[string]func(*gateway){
		"silent": func(g *gateway) { g.alive = func(context.Context) error { return errAnyway } },
		"503":    func(g *gateway) { g.provider = func(*Request) reply { return reply{status: 503} } },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, ifProviderFails, func(t *testing.T, r *redis, one, other *gateway) {
				one.expect("one gateway", request(), enrich.Enriched, 1)
				time.Sleep(10 * time.Minute)
				fail(other)
				if r := other.ask(request()); r.Outcome != enrich.ReusedInOutage {
					t.Errorf("got %s, want %s", r.Outcome, enrich.ReusedInOutage)
				}
			})
		})
	}
}

// TestSharedIsRefused: a value that was changed, replayed or put elsewhere is never
// given.
func TestSharedIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(name string, value []byte) []byte{
		"a changed bit": func(_ string, value []byte) []byte { value[len(value)/2] ^= 1; return value },
		"cut":           func(_ string, value []byte) []byte { return value[:20] },
		"empty":         func(string, []byte) []byte { return []byte{} },
		"text":          func(string, []byte) []byte { return []byte(`{"held":{}}`) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, nil, func(t *testing.T, r *redis, one, other *gateway) {
				one.expect("one gateway", request(), enrich.Enriched, 1)
				r.spoil = func(name string, value []byte) ([]byte, error) { return spoil(name, slices.Clone(value)), nil }
				other.expect("another gateway", request(), enrich.Enriched, 1)
				if n := other.Stats().SharedErrors; n != 1 {
					t.Errorf("got %d errors, want 1", n)
				}
			})
		})
	}
}

// TestSharedNamesSwapped: the answer to one request isn't given to another.
func TestSharedNamesSwapped(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, r *redis, one, other *gateway) {
		q := request()
		q.Host = "other"
		one.expect("one request", request(), enrich.Enriched, 1)
		one.expect("another request", q, enrich.Enriched, 2)
		r.spoil = func(name string, _ []byte) ([]byte, error) {
			for n, value := range r.values {
				if n != name {
					return value, nil
				}
			}
			return nil, nil
		}
		other.expect("one request elsewhere", request(), enrich.Enriched, 1)
		other.expect("another request elsewhere", q, enrich.Enriched, 2)
	})
}

// TestSharedReplay: an old value that is put back is refused by its age, and one from
// before a purge by its mark.
func TestSharedReplay(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, r *redis, one, other *gateway) {
		one.expect("one gateway", request(), enrich.Enriched, 1)
		var old []byte
		for _, value := range r.values {
			old = value
		}
		r.spoil = func(string, []byte) ([]byte, error) { return old, nil }
		other.mark("client:app", "1")
		other.expect("after a purge", request(), enrich.Enriched, 1)
		time.Sleep(300 * time.Second)
		open(t, nil, r).expect("when it is too old", request(), enrich.Enriched, 1)
	})
}

// TestSharedFromTheFuture: a value of a gateway whose clock is ahead is refused. Within the
// leeway, it is as old as its reading.
func TestSharedFromTheFuture(t *testing.T) {
	for ahead, want := range map[time.Duration]enrich.Outcome{61 * time.Second: enrich.Enriched, 59 * time.Second: enrich.Reused} {
		t.Run(ahead.String(), func(t *testing.T) {
			inFleet(t, nil, func(t *testing.T, r *redis, one, other *gateway) {
				one.o.Now = func() time.Time { return time.Now().Add(ahead) }
				one.life = time.Hour + ahead
				one.provider = func(*Request) reply { return reply{} }
				one.expect("the one ahead", request(), enrich.Enriched, 1)
				if r := other.ask(request()); r.Outcome != want {
					t.Fatalf("got %s, want %s", r.Outcome, want)
				}
				time.Sleep(300 * time.Second)
				other.expect("after max_age", request(), enrich.Enriched, other.calls.Load()+1)
			})
		})
	}
}

// TestRedisAway: a Redis that fails or hangs costs a request its budget at most, and
// nothing else.
func TestRedisAway(t *testing.T) {
	for name, test := range map[string]struct {
		read  func(ctx context.Context) error
		costs time.Duration
	}{
		"fails": {func(context.Context) error { return errors.New("connection refused") }, 0},
		"hangs": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, redisTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := open(t, nil, unreadable{test.read})
				if r := g.expect("the first", request(), enrich.Enriched, 1); r.waited != test.costs {
					t.Errorf("got a wait of %v, want %v", r.waited, test.costs)
				}
				if r := g.expect("the repeat", request(), enrich.Reused, 1); r.waited != 0 {
					t.Errorf("the repeat: got a wait of %v, want none", r.waited)
				}
				if n := g.Stats().SharedErrors; n != 0 {
					t.Errorf("got %d errors, want 0: Redis counts its own", n)
				}
			})
		})
	}
}

type unreadable struct {
	read func(context.Context) error
}

func (r unreadable) SharedAnswer(ctx context.Context, _ string) ([]byte, error) {
	return nil, r.read(ctx)
}
func (unreadable) ShareAnswer(string, []byte, time.Duration) {}

// TestRedisPanics: a panic while Redis is asked leaves nobody hanging.
func TestRedisPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t, nil, unreadable{func(context.Context) error { panic("a bug") }})
		for _, r := range g.all(10, request()) {
			if r.took > 0 && r.panicked || !r.panicked && r.took > time.Second {
				t.Errorf("got the end after %v", r.took)
			}
		}
		g.expectNothingLeft()
	})
}

// TestCopyOfRedis: all of Redis, the fleet's secret and every request but the client's
// secret give no token.
func TestCopyOfRedis(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, r *redis, one, _ *gateway) {
		one.expect("one gateway", request(), enrich.Enriched, 1)
		for name, value := range r.values {
			for _, secret := range []string{"access_token", "YXBwOnNlY3JldA", fleetSecret, "client_credentials"} {
				if strings.Contains(name, secret) || bytes.Contains(value, []byte(secret)) {
					t.Errorf("Redis shows %q", secret)
				}
			}
			q := request()
			q.Authorization = "Basic YXBwOmd1ZXNz"
			v := &visit{Answers: one.Answers, q: q}
			guessed := v.fleetSlot()
			guessed.name = name
			if text, err := guessed.open(value); err == nil {
				t.Errorf("got %d bytes with a guessed secret", len(text))
			}
		}
	})
}

// TestSharedForm: what is sealed is what is read, except the monotonic clock.
func TestSharedForm(t *testing.T) {
	h := held(t, "app", `{"a":1}`, time.Hour)
	text, err := json.Marshal(sharedForm{"1", "2", 3, h})
	if err != nil {
		t.Fatal(err)
	}
	var form sharedForm
	if err := json.Unmarshal(text, &form); err != nil {
		t.Fatal(err)
	}
	if form.All != "1" || form.Client != "2" || form.Held.ClientID != "app" || h.Signed.Sub(form.Held.Signed) >= time.Millisecond || !bytes.Equal(form.Held.Body, h.Body) {
		t.Errorf("got %+v, want %+v", form.Held, h)
	}
}

// TestClockOfShared: the time of a shared answer has this gateway's monotonic clock, so its
// age is right if the clock on the wall is set back afterwards.
func TestClockOfShared(t *testing.T) {
	v := &visit{Answers: open(t, nil, nil).Answers}
	want := time.Now().Add(-30 * time.Second).Round(0)
	got := v.clockOf(want.UnixMilli())
	if !strings.Contains(got.String(), " m=") || wallClock(want, got).Abs() > time.Millisecond {
		t.Errorf("got %v, want %v with a monotonic reading", got, want)
	}
}
