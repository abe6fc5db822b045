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

// shards is a source on several nodes, each of which dies and returns, with keys
// that fail although their node is well.
type shards struct {
	withoutReuse
	t   *testing.T
	r   *Records
	rng *rand.Rand // the test's own, not the lookups'

	mu      sync.Mutex
	of      []*shard
	lookups sync.WaitGroup
}

type shard struct {
	down    bool
	hangs   bool            // while down: it doesn't even refuse
	died    time.Time       // last
	failed  map[string]bool // the keys that did since then, which hadn't before
	well    bool            // it is up, and every lookup must be served
	changes int             // how often it died, or its keys became good or bad
	bad     map[string]bool // keys that fail; true: they hang
	asked   []time.Time     // since it died
	most    int             // of them in a second
}

// Ids are "shard/number".
const (
	shardCount = 3
	shardIDs   = 100
	mostBad    = 4 // of one shard

	slowest = time.Millisecond // of the answers
)

// TestShards makes random histories of several nodes: while a node is down few
// questions are put to it, a pause after its return its records are served, and a
// key that fails by itself never keeps another one from being served.
func TestShards(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() { // it ends the whole test
					t.Logf("seed %d, round %d", seed, round)
				}
			}()
			s := newShards(t, rand.New(rand.NewPCG(seed, round)))
			for range 60 {
				s.step(s.rng.IntN(shardCount))
			}
			s.lookups.Wait()
			if err := s.r.Close(); err != nil {
				t.Error(err)
			}
			for n, shard := range s.of {
				if shard.most > maxFailing+2 { // and one trial, which may end and begin again
					t.Errorf("shard %d was asked %d times in a second while it was down", n, shard.most)
				}
			}
		})
	}
}

func newShards(t *testing.T, rng *rand.Rand) *shards {
	s := &shards{t: t, rng: rng}
	for range shardCount {
		s.of = append(s.of, &shard{well: true, bad: map[string]bool{}})
	}
	s.r = scriptedRecords(s, func(c *schema.Config) { c.Cache = schema.Cache{MaxEntries: 1000, MaxBytes: 1 << 20} })
	return s
}

func (s *shards) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *shards) id(n int) string { return fmt.Sprintf("%d/%d", n, s.rng.IntN(shardIDs)) }

// step does one thing that may happen, mostly to shard n.
func (s *shards) step(n int) {
	shard := s.of[n]
	switch k := s.rng.IntN(100); {
	case k < 10 && !shard.down:
		s.die(shard)
	case k < 35 && shard.down:
		s.giveBack(n)
	case k < 35 && shard.well && len(shard.bad) < mostBad:
		s.spoil(n)
	case k < 40:
		s.set(func() { clear(shard.bad); shard.changes++ })
	default:
		for range 40 {
			s.traffic()
			pass(time.Duration(s.rng.IntN(100)) * time.Millisecond)
		}
	}
}

// die ends a shard, and what was wrong with its keys.
func (s *shards) die(shard *shard) {
	hangs := s.rng.IntN(2) == 0
	s.set(func() {
		shard.down, shard.hangs, shard.died = true, hangs, time.Now()
		shard.failed, shard.asked = map[string]bool{}, nil
		shard.well = false
		shard.changes++
		clear(shard.bad)
	})
}

// giveBack brings a shard back. Its questions that hang end after the budget;
// from a pause later on it serves.
func (s *shards) giveBack(n int) {
	shard := s.of[n]
	rest := s.r.budget() + retryInterval
	s.set(func() { shard.down = false })
	for end := time.Now().Add(rest); time.Now().Before(end); pass(rest / 20) {
		s.traffic()
	}
	pass(10 * time.Millisecond) // the most answer, of who tries
	_ = s.lookup(s.id(n), true)
	s.set(func() { shard.well = true })
}

// spoil makes a key fail by itself: another one of its shard is answered before
// the next such key fails.
func (s *shards) spoil(n int) {
	id, hangs := s.id(n), s.rng.IntN(2) == 0
	s.set(func() { s.of[n].bad[id] = hangs; s.of[n].changes++ })
	for s.lookup(id, false) == nil { // it may be answered by a question from before
	}
	pass(slowest) // what was answered before is joined by no lookup any more
	for {
		other := s.id(n)
		if _, state := s.state(other); !state.bad { // a key that has failed may still be blocked
			_ = s.lookup(other, true)
			return
		}
	}
}

// traffic asks for a few records of all shards at once.
func (s *shards) traffic() {
	for range 1 + s.rng.IntN(20) {
		id := s.id(s.rng.IntN(shardCount))
		s.lookups.Go(func() { _ = s.lookup(id, false) })
	}
}

// lookup asks for id, which must be served if must, or if its shard is well and it
// isn't a key that fails.
func (s *shards) lookup(id string, must bool) error {
	shard, before := s.state(id)
	healthy := before.well && !before.bad
	_, err := s.r.Record(context.Background(), schema.Application, id)
	_, after := s.state(id)
	if (must || healthy && after.well && !after.bad && before.changes == after.changes) && err != nil {
		s.t.Errorf("%s of a node that is well isn't served: %v\n%+v", id, err, shard)
	}
	return err
}

type shardState struct {
	well, bad bool
	changes   int
}

func (s *shards) state(id string) (*shard, shardState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := s.shard(id)
	_, bad := shard.bad[id]
	known := s.known(id)
	return shard, shardState{shard.well, bad || known, shard.changes}
}

func (s *shards) shard(id string) *shard {
	return s.of[id[0]-'0']
}

// known reports whether id is known to fail.
func (s *shards) known(id string) bool {
	p := &s.r.nodes.get(id[:1]).breaker
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.failing["p:app:"+id]
	return known
}

func (s *shards) node(key string) string {
	return strings.SplitN(strings.TrimPrefix(key, "p:app:"), "/", 2)[0]
}

func (s *shards) fetch(ctx context.Context, key string, _ []string) (schema.Record, error) {
	id := strings.TrimPrefix(key, "p:app:")
	asked := time.Now()
	s.mu.Lock()
	shard := s.shard(id)
	hangs, fails := shard.bad[id]
	first := shard.down && !s.known(id) && asked.Sub(shard.died) > slowest
	if shard.down {
		hangs, fails = shard.hangs, true
		shard.count(asked)
	}
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
	} else {
		pass(slowest)
	}
	s.set(func() {
		if first && shard.down {
			shard.failed[id] = true
		}
	})
	if fails {
		return nil, errSilent
	}
	return good, nil
}

// count notes a question to a shard that is down. What was asked before two keys
// failed doesn't count.
func (s *shard) count(now time.Time) {
	if len(s.failed) < 2 {
		return
	}
	s.asked = append(s.asked, now)
	for now.Sub(s.asked[0]) >= time.Second {
		s.asked = s.asked[1:]
	}
	s.most = max(s.most, len(s.asked))
}

func (s *shards) count(context.Context, string, int) (int, error) { return 0, nil }
func (s *shards) close() error                                    { return nil }
