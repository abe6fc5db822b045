package reuse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// world is a fleet, its Redis and its provider, with faults, and what must hold. Its
// rules know nothing of how answers are kept.
type world struct {
	t        *testing.T
	cfg      schema.Reuse
	redis    *redis
	mu       sync.Mutex
	random   *rand.Rand
	gateways []*gateway

	secrets   map[string]string      // of clients at the provider
	suspended map[string]time.Time   // in the records
	purged    map[string]time.Time   // "all" and "client:ID"
	marks     map[string]string      // and what Redis has of them
	issued    map[string]issuance    // by token
	failing   func() (reply, bool)   // of the provider
	outcomes  map[enrich.Outcome]int // that clients got
}

// issuance is a token that the provider issued.
type issuance struct {
	client, bytes string // the exact request
	at            time.Time
}

const modelLife = 20 * time.Minute

func clientRequest(client, secret, scope string) Request {
	q := request()
	q.Authorization = "Basic " + client + ":" + secret
	q.Body = []byte("grant_type=client_credentials&scope=" + scope)
	return q
}

func clientOf(q *Request) (id, secret string) {
	id, secret, _ = strings.Cut(strings.TrimPrefix(q.Authorization, "Basic "), ":")
	return id, secret
}

func newWorld(t *testing.T, seed uint64, cfg schema.Reuse) *world {
	w := &world{
		t: t, cfg: cfg, redis: newRedis(), random: rand.New(rand.NewPCG(seed, 2)),
		secrets: map[string]string{}, suspended: map[string]time.Time{}, purged: map[string]time.Time{}, marks: map[string]string{},
		issued: map[string]issuance{}, outcomes: map[enrich.Outcome]int{},
	}
	w.redis.spoil = func(name string, value []byte) ([]byte, error) {
		if w.flip(0.02) {
			return nil, errors.New("redis is away")
		}
		return value, nil
	}
	w.settle(kinds)
	for range 3 {
		w.gateways = append(w.gateways, w.gateway())
	}
	return w
}

// gateway starts a process.
func (w *world) gateway() *gateway {
	g := open(w.t, func(cfg *schema.Config) { cfg.Reuse = w.cfg }, w.redis)
	g.Answers.o.Marks = func(context.Context) (map[string]string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.random.Float64() < 0.01 {
			return nil, errors.New("redis is away")
		}
		return w.marks, nil
	}
	g.again = func(h *enrich.Held) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.suspended[h.ClientID].IsZero() {
			return errors.New("suspended")
		}
		return nil
	}
	g.Answers.held = func(r enrich.Result) (*enrich.Held, error) {
		if r.Outcome != enrich.Enriched {
			return nil, errAnyway
		}
		return held(w.t, r.ClientID, string(r.Body), modelLife), nil
	}
	g.alive = func(ctx context.Context) error {
		if answer, _ := w.fault(); answer.never {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	return g
}

func (w *world) flip(chance float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64() < chance
}

func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

func (w *world) fault() (reply, bool) {
	w.mu.Lock()
	failing := w.failing
	w.mu.Unlock()
	return failing()
}

// kinds is how many kinds of faults there are.
const kinds = 6

// settle begins a fault of the provider, or ends it with the kind kinds.
func (w *world) settle(kind int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = func() (reply, bool) {
		switch kind {
		case 0:
			return reply{status: 503, takes: 10 * time.Millisecond}, true
		case 1:
			return reply{status: 429, retryAfter: "20"}, true
		case 2:
			return reply{never: true, takes: time.Second}, true
		case 3:
			if w.flip(0.3) {
				return reply{status: 500, takes: 300 * time.Millisecond}, true
			}
		case 4:
			return reply{takes: 1500 * time.Millisecond}, false
		case 5:
			if w.flip(0.3) {
				return reply{takes: 50 * time.Millisecond, unfit: errAnyway}, false
			}
		}
		return reply{takes: 80 * time.Millisecond}, false
	}
}

// change changes something in the world.
func (w *world) change() {
	w.mu.Lock()
	client := fmt.Sprint("c", w.random.IntN(8))
	event := w.random.IntN(10)
	w.mu.Unlock()
	switch event {
	case 0, 1:
		w.settle(w.pick(kinds + 2))
	case 2:
		w.mu.Lock()
		w.secrets[client] = fmt.Sprint("s", w.random.IntN(3))
		w.mu.Unlock()
	case 3, 4:
		w.mu.Lock()
		if w.suspended[client].IsZero() && w.random.IntN(3) == 0 {
			w.suspended[client] = time.Now()
		} else {
			delete(w.suspended, client)
		}
		w.mu.Unlock()
	case 5:
		w.purge("client:" + client)
	case 6:
		w.purge("all")
	case 7: // a process is killed, and another one starts
		g := w.gateway()
		w.mu.Lock()
		w.gateways[w.random.IntN(len(w.gateways))] = g
		w.mu.Unlock()
	}
}

func (w *world) purge(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks = maps.Clone(w.marks)
	w.marks[name] = fmt.Sprint(w.random.Uint64())
	w.purged[name] = time.Now()
}

// visit is a client that asks once.
func (w *world) visit() {
	w.mu.Lock()
	client := fmt.Sprint("c", w.random.IntN(8))
	secret := w.secrets[client]
	if w.random.IntN(10) == 0 {
		secret = fmt.Sprint("s", w.random.IntN(3))
	}
	q := clientRequest(client, secret, fmt.Sprint(w.random.IntN(2)))
	g := w.gateways[w.random.IntN(len(w.gateways))]
	gone := w.random.Float64() < 0.02
	w.mu.Unlock()
	q.ID = fmt.Sprint("request ", g.ids.Add(1))
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	started := time.Now()
	r, ok := g.Find(ctx, q, "")
	if waited := time.Since(started); waited > time.Second {
		w.t.Errorf("a request waited %v, want 1s at most", waited)
	}
	if ok {
		w.judge(q, r, started)
	} else if !gone {
		w.provide(g, q, started)
	}
}

// provide is the provider and the response phase.
func (w *world) provide(g *gateway, q Request, started time.Time) {
	answer, failed := w.fault()
	time.Sleep(answer.takes)
	if answer.never {
		return
	}
	client, secret := clientOf(&q)
	w.mu.Lock()
	right := w.secrets[client] == secret
	suspended := !w.suspended[client].IsZero()
	token := fmt.Sprintf(`{"access_token":"%s %d"}`, client, len(w.issued))
	if right && !failed {
		w.issued[token] = issuance{client, string(appendRequest(nil, &[32]byte{}, &q)), time.Now()}
	}
	w.mu.Unlock()
	r := enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, ClientID: client, Body: []byte(token)}
	switch {
	case failed:
		r = enrich.Result{Outcome: enrich.UpstreamError, Status: answer.status}
		if instead, ok := g.Instead(w.t.Context(), q.ID, answer.status, answer.retryAfter, ""); ok {
			r = instead
			w.judge(q, r, started)
		}
	case !right:
		r = enrich.Result{Outcome: enrich.UpstreamError, Status: 401}
	case suspended:
		r = enrich.Result{Outcome: enrich.SuspendedOrganization}
	}
	g.Answered(q.ID, q.Authorization, q.Body, r, answer.unfit)
	w.count(r)
}

func (w *world) count(r enrich.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[r.Outcome]++
}

// judge fails the test if the request that arrived at started may not get r, which isn't
// the provider's answer to it.
func (w *world) judge(q Request, r enrich.Result, started time.Time) {
	w.count(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	token, known := w.issued[string(r.Body)]
	client, _ := clientOf(&q)
	age := time.Since(token.at)
	limit := time.Duration(w.cfg.MaxAge) * time.Second
	if r.Outcome == enrich.ReusedInOutage {
		limit = modelLife - time.Duration(w.cfg.MinRemaining)*time.Second
	}
	problem := ""
	switch {
	case !known:
		problem = "a token that nobody issued"
	case token.bytes != string(appendRequest(nil, &[32]byte{}, &q)):
		problem = "a token of another request"
	case age >= limit+time.Millisecond: // the shared form has milliseconds
		problem = fmt.Sprintf("a token of %v, want less than %v", age, limit)
	case !w.suspended[client].IsZero() && time.Since(w.suspended[client]) > 0: // not at this very moment
		problem = "a token of a suspended client"
	case r.Outcome == enrich.ReusedInOutage && !w.cfg.IfProviderFails:
		problem = "an old answer though nobody asked for that"
	case w.purged["all"].After(token.at) && started.After(w.purged["all"]), w.purged["client:"+client].After(token.at) && started.After(w.purged["client:"+client]):
		problem = "a purged token"
	}
	if problem != "" {
		w.t.Errorf("%s got %s (%s)", q.Authorization, problem, r.Outcome)
	}
}

// TestModel: with random clients, faults, purges and restarts, no token reaches a
// request whose exact bytes the provider didn't accept in time, and nobody waits past his
// time.
func TestModel(t *testing.T) {
	for name, ifProviderFails := range map[string]bool{"by default": false, "if the provider fails": true} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				synctest.Test(t, func(t *testing.T) { runModel(t, seed, ifProviderFails) })
			}
		})
	}
}

func runModel(t *testing.T, seed uint64, ifProviderFails bool) {
	w := newWorld(t, seed, schema.Reuse{
		Enabled: true, MaxAge: 60, ShareOfLife: 0.75, MinRemaining: 60, MaxEntries: 30, MaxBytes: 1 << 20, Coalesce: seed%2 == 0,
		Shared: true, Secret: fleetSecret, IfProviderFails: ifProviderFails,
	})
	for client := range 8 {
		w.secrets[fmt.Sprint("c", client)] = "s0"
	}
	var clients sync.WaitGroup
	for round := range 400 {
		for range 10 {
			clients.Go(w.visit)
		}
		time.Sleep(time.Duration(w.pick(1500)) * time.Millisecond)
		switch {
		case round == 250:
			w.settle(kinds)
		case round == 300: // a long outage
			w.settle(0)
		case round < 250 && w.flip(0.1):
			w.change()
		}
	}
	clients.Wait()
	t.Logf("seed %d: %v", seed, w.outcomes)
	if w.outcomes[enrich.Reused] == 0 || (w.outcomes[enrich.ReusedInOutage] > 0) != ifProviderFails {
		t.Errorf("got the outcomes %v, want some of each", w.outcomes)
	}
	for _, g := range w.gateways {
		g.expectNothingLeft()
	}
}
