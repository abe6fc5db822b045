package reuse_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	modelRounds = flag.Int("model.rounds", 8, "how many random histories TestFleetModel makes")
	modelSeed   = flag.Uint64("model.seed", 0, "the seed of TestFleetModel's histories; 0 means a random one")
)

const (
	modelClients = 1000
	modelTimeout = time.Second // of one event, as configured
)

// settings are what differs between two histories.
type settings struct {
	nodes                            int
	shared, outages, coalesce, small bool
	calm                             bool // nothing fails
	endpointKnown                    bool // the provider's token endpoint is asked for a sign of life, not its key set

	maxAge, least, life time.Duration // max_age, min_remaining, and the life of usual tokens
	share               float64       // share_of_life
}

// world is a fleet of gateways with its provider, Redis and clients. All its times are
// those of a bubble, hence exact.
type world struct {
	settings
	t        *testing.T
	provider *provider
	redis    *redis
	records  *records
	nodes    []*node
	clients  []*client
	requests sync.WaitGroup
	failures atomic.Int32

	mu      sync.Mutex
	rng     *rand.Rand
	id      int
	keyID   timeline[string] // the key that signs
	purged  map[string]time.Time
	pending map[call]time.Time // calls under way, and when they left
	final   map[call]time.Time // when the provider refused it last
	held    map[call]held
	newest  map[call]time.Time // when the last question left that had a good answer
	counts  counts
}

// counts are the figures that show what a history covered.
type counts struct{ requests, calls, reused, outage, owed int }

// call is a question of one process to the provider.
type call struct {
	process *process
	request string
}

// TestFleetModel makes random histories of a fleet and checks every answer in them by the
// rules of fleetmodelrules_test.go.
func TestFleetModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	var total counts
	for round := range uint64(*modelRounds) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, rand.New(rand.NewPCG(seed, round)), settings{
				nodes: 4, maxAge: 30 * time.Second, least: 10 * time.Second, life: 2 * time.Minute, share: 0.6,
				shared: round%2 == 0, outages: round/2%2 == 0, coalesce: round%8 != 1, small: round%8 == 6, calm: round%8 == 7, endpointKnown: round%4 == 1,
			})
			w.run()
			total.add(w.counts)
		})
		if t.Failed() {
			t.Fatalf("-model.seed %d, round %d", seed, round)
		}
	}
	t.Logf("-model.seed %d: %+v", seed, total)
	if *modelRounds >= 8 && (total.reused < total.requests/20 || total.owed == 0) {
		t.Errorf("got %+v, want histories with answers of all kinds", total)
	}
}

func (c *counts) add(other counts) {
	c.requests += other.requests
	c.calls += other.calls
	c.reused += other.reused
	c.outage += other.outage
	c.owed += other.owed
}

func newWorld(t *testing.T, rng *rand.Rand, s settings) *world {
	w := &world{settings: s, t: t, rng: rng, purged: map[string]time.Time{}, pending: map[call]time.Time{},
		final: map[call]time.Time{}, held: map[call]held{}, newest: map[call]time.Time{}}
	w.keyID.set("key-0")
	w.provider = newProvider(w)
	w.redis = &redis{w: w, values: map[string]stored{}, marks: map[string]string{}}
	w.redis.away.set(false)
	w.records = newRecords()
	for i := range modelClients {
		c := &client{name: fmt.Sprintf("client-%d", i), kind: usual}
		switch {
		case i == 4: // one of those that ask often
			c.kind = brief
		case i%10 == 9:
			c.kind = []kind{brief, bound, withCookie, management}[i/10%4]
		}
		w.clients = append(w.clients, c)
	}
	for i := range s.nodes {
		n := &node{w: w, name: i}
		n.start()
		w.nodes = append(w.nodes, n)
	}
	return w
}

// run is a history of a few minutes.
func (w *world) run() {
	for range 600 {
		w.step()
	}
	w.end()
}

// end waits for what is under way, and closes the gateways.
func (w *world) end() {
	w.requests.Wait()
	for _, n := range w.nodes {
		n.process.Load().answers.Close()
	}
	w.redis.writes.Wait()
}

// upTo is a random number below n.
func (w *world) upTo(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) float() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.Float64()
}

func (w *world) upToTime(most time.Duration) time.Duration { return time.Duration(w.upTo(int(most))) }

// anyClient is one of a few most of the time, so that requests repeat.
func (w *world) anyClient() *client {
	if w.upTo(10) < 7 {
		return w.clients[w.upTo(5)]
	}
	return w.clients[w.upTo(len(w.clients))]
}

func (w *world) node() *node { return w.nodes[w.upTo(len(w.nodes))] }

// step does one thing that may happen.
func (w *world) step() {
	n := w.upTo(100)
	if w.calm && n < 30 {
		n = 60
	}
	switch {
	case n < 6:
		w.provider.change()
	case n < 9:
		w.redis.change()
	case n < 11:
		w.anyClient().rotate(w)
	case n < 12:
		w.revoke()
	case n < 18:
		w.records.change(w.clients[w.upTo(5)].name, w.upTo(3))
	case n < 20:
		w.rotate()
	case n < 23:
		w.purge()
	case n < 26:
		w.node().start() // its requests under way are answered elsewhere
	case n < 27:
		w.reload()
	case n < 29:
		w.redis.attack()
	case n < 30:
		w.outage()
	case n < 40:
		time.Sleep(w.upToTime([]time.Duration{time.Second, 5 * time.Second, w.maxAge / 2}[w.upTo(3)]))
	default:
		w.burst()
		time.Sleep(w.upToTime(300 * time.Millisecond))
	}
	synctest.Wait()
}

// burst sends the same request one or more times, to one gateway or to several.
func (w *world) burst() {
	q := w.request(w.anyClient())
	one, spread := w.node(), w.upTo(3) == 0
	for range 1 + w.upTo(5) {
		n := one
		if spread {
			n = w.node()
		}
		after := w.upToTime([]time.Duration{1, time.Millisecond, 100 * time.Millisecond}[w.upTo(3)])
		w.requests.Go(func() {
			time.Sleep(after)
			n.serve(q)
		})
	}
}

// outage is one of the provider, long enough for what is held to become old.
func (w *world) outage() {
	w.provider.change()
	for range 5 {
		w.burst()
		time.Sleep(w.upToTime(w.maxAge / 2))
	}
}

// rotate makes another key sign, on all gateways at once.
func (w *world) rotate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keyID.set(fmt.Sprintf("key-%d", w.rng.IntN(1000)))
}

// reload gives all gateways another configuration, or the previous one again.
func (w *world) reload() {
	identity := byte(w.upTo(3))
	for _, n := range w.nodes {
		n.identity = identity
		n.start()
	}
}
