package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/schema"
)

// The times of the model, in the configuration's seconds. They differ so that
// none can stand in for another.
var modelled = schema.Cache{TTL: 30, NegativeTTL: 5, StaleTTL: 100, MaxEntries: 100, MaxBytes: 1 << 20}

// world is a store whose history is known, and the lookups in it. All its times
// are those of a bubble, hence exact.
type world struct {
	withoutReuse
	t            *testing.T
	r            *Records
	invalidation bool // with cache.invalidation

	mu          sync.Mutex
	rng         *rand.Rand
	ids         map[string]*history
	silent      bool // the store refuses
	hanging     bool // the store doesn't even refuse
	slow        bool
	failing     bool      // the last question failed, about whichever record
	failed      time.Time // when one failed last
	deaf        bool      // the connection that reports changes is lost
	invalidated time.Time // when everything was invalidated last
	lookups     sync.WaitGroup
}

// history is what happened to one record. Version n is versions[n].
type history struct {
	versions []version
	answered question // the last one that was answered
	failing  bool     // the last question about it failed
}

type version struct {
	kind     string    // record, none or invalid
	asked    time.Time // last, of the questions that this answered
	reported time.Time // when Redis reported the next version
}

type question struct {
	version int
	asked   time.Time
}

var errorOf = map[string]error{"record": nil, "none": schema.ErrNoRecord, "invalid": schema.ErrInvalidRecord}

// TestModel makes random histories and checks every answer in them.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(80) {
		for _, invalidation := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rand.New(rand.NewPCG(seed, round)), invalidation)
				for range 100 {
					w.step()
				}
				w.lookups.Wait()
				if err := w.r.Close(); err != nil {
					t.Error(err)
				}
			})
			if t.Failed() {
				t.Fatalf("seed %d, round %d, invalidation %v", seed, round, invalidation)
			}
		}
	}
}

func newWorld(t *testing.T, rng *rand.Rand, invalidation bool) *world {
	w := &world{t: t, rng: rng, invalidation: invalidation, ids: map[string]*history{}}
	for _, id := range []string{"a", "b", "c"} {
		w.ids[id] = &history{versions: []version{{kind: "none"}}}
	}
	w.r = scriptedRecords(w, func(c *schema.Config) { c.Cache = modelled })
	w.r.jitter = func() float64 { return float64(w.upTo(1000)) / 1000 }
	return w
}

// upTo is a random number below n.
func (w *world) upTo(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) duration(most time.Duration) time.Duration { return time.Duration(w.upTo(int(most))) }

func (w *world) id() string { return string("abc"[w.upTo(3)]) }

// step does one thing that may happen.
func (w *world) step() {
	switch n := w.upTo(100); {
	case n < 25:
		w.write(w.id())
	case n < 30:
		w.set(func() { w.silent, w.hanging = !w.silent, w.rng.IntN(2) == 0 })
	case n < 33:
		w.set(func() { w.slow = !w.slow })
	case n < 36 && w.invalidation:
		w.set(func() { w.deaf = true })
	case n < 42 && w.invalidation:
		w.reconnect()
	case n < 60:
		least := []time.Duration{0, 0, 0, seconds(modelled.NegativeTTL - 1), seconds(modelled.TTL - 2), seconds(modelled.TTL + modelled.StaleTTL - 2)}[w.upTo(6)]
		pass(least + w.duration([]time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second}[w.upTo(3)]))
	default:
		id := w.id()
		for range 1 + w.upTo(4) {
			w.lookups.Go(func() { w.lookup(id) })
		}
		pass(w.duration(20 * time.Millisecond))
	}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// write makes a new version of id, which Redis reports a little later.
func (w *world) write(id string) {
	kind := []string{"record", "record", "record", "none", "invalid"}[w.upTo(5)]
	delay := w.duration(30 * time.Millisecond)
	h := w.ids[id]
	w.mu.Lock()
	before := len(h.versions) - 1
	h.versions = append(h.versions, version{kind: kind})
	deaf := w.deaf
	w.mu.Unlock()
	if !w.invalidation || deaf {
		return
	}
	w.lookups.Go(func() {
		pass(delay)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.deaf { // it was lost on the way
			return
		}
		w.r.tier.invalidate(schema.Application.Key("p:", id))
		for n := range before + 1 {
			if h.versions[n].reported.IsZero() {
				h.versions[n].reported = time.Now()
			}
		}
	})
}

// reconnect restores the reports of changes and invalidates everything. Reports
// that are on their way arrive after that.
func (w *world) reconnect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf {
		w.deaf, w.invalidated = false, time.Now()
		w.r.tier.invalidateAll()
	}
}

// fetch is the store's: it reads at a moment of its own between the question
// and the answer.
func (w *world) fetch(ctx context.Context, key string, _ []string) (schema.Record, error) {
	id := strings.TrimPrefix(key, "p:app:")
	asked := time.Now()
	longest := 5 * time.Millisecond
	w.set(func() {
		if w.slow {
			longest = time.Second
		}
	})
	if err := w.elapse(ctx, id, w.duration(longest)); err != nil {
		return nil, err
	}
	n, kind := w.read(id)
	if err := w.elapse(ctx, id, w.duration(longest)); err != nil {
		return nil, err
	}
	w.set(func() {
		h := w.ids[id]
		w.failing, h.failing = false, false
		h.answered = question{n, asked}
		if v := &h.versions[n]; v.asked.Before(asked) {
			v.asked = asked
		}
	})
	text := fmt.Sprintf("%s/%d", id, n)
	if kind != "record" {
		return nil, fmt.Errorf("version %s: %w", text, errorOf[kind])
	}
	return schema.Record{"version": text}, nil
}

func (w *world) read(id string) (n int, kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	versions := w.ids[id].versions
	return len(versions) - 1, versions[len(versions)-1].kind
}

// elapse is a part of the time that the store needs. It fails as soon as ctx
// ends or Redis is silent.
func (w *world) elapse(ctx context.Context, id string, d time.Duration) error {
	w.mu.Lock()
	silent, hanging := w.silent, w.hanging
	w.mu.Unlock()
	var ready <-chan time.Time // never
	if !silent || !hanging {
		ready = time.After(d)
	}
	select {
	case <-ready:
	case <-ctx.Done():
		silent = true
	}
	if !silent {
		return nil
	}
	w.set(func() { w.failing, w.ids[id].failing, w.failed = true, true, time.Now() })
	return fmt.Errorf("the store: %w", schema.ErrUnavailable)
}

func (*world) node(string) string                              { return "" }
func (*world) count(context.Context, string, int) (int, error) { return 0, nil }
func (*world) close() error                                    { return nil }
