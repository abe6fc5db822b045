package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
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
	t    *testing.T
	r    *Records
	told bool // with cache.invalidation

	mu      sync.Mutex
	rng     *rand.Rand
	ids     map[string]*history
	silent  bool // the store refuses
	hanging bool // the store doesn't even refuse
	slow    bool
	failing bool      // the last question failed
	failed  time.Time // when one failed last
	deaf    bool      // the connection that tells of changes is lost
	doubted time.Time // when everything became doubtful last
	lookups sync.WaitGroup
}

// history is what happened to one record. Version n is versions[n].
type history struct {
	versions []version
	landed   question // the last one that was answered
}

type version struct {
	kind  string    // record, none or invalid
	asked time.Time // last, of the questions that this answered
	told  time.Time // when Redis told of the version that followed
}

type question struct {
	version int
	asked   time.Time
}

var kinds = map[string]error{"record": nil, "none": schema.ErrNoRecord, "invalid": schema.ErrInvalidRecord}

// TestModel makes random histories and checks every answer in them.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(80) {
		for _, told := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rand.New(rand.NewPCG(seed, round)), told)
				for range 100 {
					w.step()
				}
				w.lookups.Wait()
				if err := w.r.Close(); err != nil {
					t.Error(err)
				}
			})
			if t.Failed() {
				t.Fatalf("seed %d, round %d, invalidation %v", seed, round, told)
			}
		}
	}
}

func newWorld(t *testing.T, rng *rand.Rand, told bool) *world {
	w := &world{t: t, rng: rng, told: told, ids: map[string]*history{}}
	for _, id := range []string{"a", "b", "c"} {
		w.ids[id] = &history{versions: []version{{kind: "none"}}}
	}
	cfg := &schema.Config{Prefix: "p:", Cache: modelled, Redis: schema.Redis{ConnectTimeout: 500, SendTimeout: 500, ReadTimeout: 500, PoolSize: 64}}
	w.r = newRecords(cfg, w, time.Now)
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
	case n < 36 && w.told:
		w.set(func() { w.deaf = true })
	case n < 42 && w.told:
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

// write makes a new version of id, of which Redis tells a little later.
func (w *world) write(id string) {
	kind := []string{"record", "record", "record", "none", "invalid"}[w.upTo(5)]
	delay := w.duration(30 * time.Millisecond)
	h := w.ids[id]
	w.mu.Lock()
	before := len(h.versions) - 1
	h.versions = append(h.versions, version{kind: kind})
	deaf := w.deaf
	w.mu.Unlock()
	if !w.told || deaf {
		return
	}
	w.lookups.Go(func() {
		pass(delay)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.deaf { // it was lost on the way
			return
		}
		w.r.tier.changed(schema.Application.Key("p:", id))
		for n := range before + 1 {
			if h.versions[n].told.IsZero() {
				h.versions[n].told = time.Now()
			}
		}
	})
}

// reconnect ends the loss of changes: whatever was lost, all is doubtful. What
// is on its way arrives after that.
func (w *world) reconnect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf {
		w.deaf, w.doubted = false, time.Now()
		w.r.tier.doubt()
	}
}

// fetch is the store's: it reads at a moment of its own between the question
// and the answer.
func (w *world) fetch(ctx context.Context, _ schema.Kind, id string) (schema.Record, error) {
	asked := time.Now()
	longest := 5 * time.Millisecond
	w.set(func() {
		if w.slow {
			longest = time.Second
		}
	})
	if err := w.elapse(ctx, w.duration(longest)); err != nil {
		return nil, err
	}
	n, kind := w.read(id)
	if err := w.elapse(ctx, w.duration(longest)); err != nil {
		return nil, err
	}
	w.set(func() {
		w.failing = false
		h := w.ids[id]
		h.landed = question{n, asked}
		if v := &h.versions[n]; v.asked.Before(asked) {
			v.asked = asked
		}
	})
	text := fmt.Sprintf("%s/%d", id, n)
	if kind != "record" {
		return nil, fmt.Errorf("version %s: %w", text, kinds[kind])
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
func (w *world) elapse(ctx context.Context, d time.Duration) error {
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
	w.set(func() { w.failing, w.failed = true, time.Now() })
	return fmt.Errorf("the store: %w", schema.ErrUnavailable)
}

func (w *world) count(context.Context, int) (int, error) { return 0, nil }
func (w *world) close() error                            { return nil }

// seen is a lookup and what was known when it began.
type seen struct {
	id         string
	patience   time.Duration
	begin, end time.Time
	failing    bool
	doubted    time.Time
	landed     question
	version    int // -1: no record
	err        error
}

func (w *world) lookup(id string) {
	s := seen{id: id, patience: []time.Duration{10 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 5 * time.Second}[w.upTo(4)], begin: time.Now()}
	w.set(func() { s.failing, s.doubted, s.landed = w.failing, w.doubted, w.ids[id].landed })
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	record, err := w.r.Record(ctx, schema.Application, id)
	s.end, s.err = time.Now(), err
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.judge(&s, record); err != nil {
		w.t.Errorf("%s asked at %v for %v got %v, %v: %v\n%+v", id, s.begin.Format("15:04:05.000"), s.end.Sub(s.begin), record, s.err, err, w.ids[id])
	}
}

// judge tells which rule the answer breaks. The caller holds mu.
func (w *world) judge(s *seen, record schema.Record) error {
	if took := s.end.Sub(s.begin); took > s.patience {
		return errors.New("after the caller's time")
	}
	if err := w.identify(s, record); err != nil {
		return err
	}
	if errors.Is(s.err, schema.ErrUnavailable) {
		return w.judgeUnavailable(s)
	}
	v := w.ids[s.id].versions[s.version]
	if kinds[v.kind] != nil || s.err != nil {
		if !errors.Is(s.err, kinds[v.kind]) || s.err == nil {
			return errors.New("not what the store said")
		}
		return w.judgeFresh(s, v, seconds(modelled.NegativeTTL))
	}
	err := w.judgeFresh(s, v, seconds(modelled.TTL))
	if err != nil && w.silentFor(s) {
		return w.judgeStale(s, v)
	}
	return err
}

// identify takes the version from the answer.
func (w *world) identify(s *seen, record schema.Record) error {
	s.version = -1
	text := record["version"]
	if s.err != nil && record == nil {
		_, text, _ = strings.Cut(s.err.Error(), "version ")
		text, _, _ = strings.Cut(text, ":")
		if errors.Is(s.err, schema.ErrUnavailable) {
			return nil
		}
	}
	id, number, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if id != s.id || err != nil || n >= len(w.ids[id].versions) {
		return errors.New("not a version of this record")
	}
	s.version = n
	return nil
}

// judgeStale holds for a record that was held when the lookup began.
func (w *world) judgeStale(s *seen, v version) error {
	switch {
	case !v.told.IsZero() && v.told.Before(s.end):
		return errors.New("served after Redis told of a change")
	case s.end.Sub(v.asked) >= seconds(modelled.TTL+modelled.StaleTTL):
		return errors.New("too old even while Redis is silent")
	case s.end.Sub(s.begin) > s.patience/2:
		return errors.New("served when the caller's time is over")
	}
	return nil
}

// judgeFresh holds for an answer that Redis gave since it was asked, or that is
// fresh.
func (w *world) judgeFresh(s *seen, v version, life time.Duration) error {
	switch {
	case !v.told.IsZero() && v.told.Before(s.begin):
		return errors.New("served after Redis told of a change")
	case s.begin.Sub(v.asked) >= life:
		return errors.New("too old")
	case v.asked.Before(s.doubted) && s.begin.After(s.doubted):
		return errors.New("not asked again after a loss")
	}
	return nil
}

// silentFor tells whether the caller may take Redis for silent: the last
// question failed and this caller may be kept from the next, or one failed
// meanwhile, or didn't end within the half of the caller's time.
func (w *world) silentFor(s *seen) bool {
	return s.failing || !w.failed.Before(s.begin) || s.end.Sub(s.begin) >= s.patience/2
}

// judgeUnavailable: there must have been a failure, and without invalidation
// nothing that would do may have been held; a record that comes with it is one
// that was once answered.
func (w *world) judgeUnavailable(s *seen) error {
	h := w.ids[s.id]
	if !w.silentFor(s) {
		return errors.New("unavailable though nothing failed")
	}
	if s.version >= 0 && (h.versions[s.version].kind != "record" || h.versions[s.version].asked.IsZero()) {
		return errors.New("the last known record was never known")
	}
	known := !s.landed.asked.IsZero() && h.versions[s.landed.version].kind == "record" && s.landed == h.landed
	switch {
	case !known || w.told:
	case s.end.Before(s.landed.asked.Add(seconds(modelled.TTL + modelled.StaleTTL))):
		return errors.New("unavailable though it may be stale")
	case s.version != s.landed.version:
		return errors.New("the last known record is missing")
	}
	return nil
}
