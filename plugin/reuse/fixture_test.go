package reuse

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// gateway is one gateway's answers with all that they ask, and the provider behind it.
// Its fields are set before it is used, or by the methods.
type gateway struct {
	*Answers
	t     testing.TB
	calls atomic.Int64 // to the provider
	ids   atomic.Int64

	mu       sync.Mutex
	marks    map[string]string
	marksErr error
	again    func(*enrich.Held) error // nil: yes
	provider func(*Request) reply     // nil: 80 ms and a token
	life     time.Duration            // of the provider's tokens
	alive    func(context.Context) error
	probes   atomic.Int64
}

// reply is what the provider answers, and how the response phase goes.
type reply struct {
	takes  time.Duration
	status int   // 0: 200
	unfit  error // the answer can't be held
	never  bool  // there is no response phase

	retryAfter string
}

var errAnyway = errors.New("the test says so")

// open returns a gateway. change changes its configuration.
func open(t testing.TB, change func(*schema.Config), shared Shared) *gateway {
	cfg := &schema.Config{Timeout: 1000, Leeway: 60, Reuse: schema.Reuse{
		Enabled: true, MaxAge: 300, ShareOfLife: 0.75, MinRemaining: 60, MaxEntries: 10_000, MaxBytes: 32 << 20, Coalesce: true, Secret: fleetSecret,
	}}
	if change != nil {
		change(cfg)
	}
	g := &gateway{t: t, marks: map[string]string{}, life: time.Hour}
	g.Answers = New(Options{
		Config: cfg, Shared: shared, Now: time.Now, Random: rand.Float64,
		Again: g.decide,
		Marks: func(context.Context) (map[string]string, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.marks, g.marksErr
		},
		Alive: func(ctx context.Context) error {
			g.probes.Add(1)
			if alive := get(g, &g.alive); alive != nil {
				return alive(ctx)
			}
			return nil
		},
	})
	g.Answers.held = func(r enrich.Result) (*enrich.Held, error) {
		if r.Outcome != enrich.Enriched {
			return nil, errAnyway
		}
		return held(t, r.ClientID, string(r.Body), get(g, &g.life)), nil
	}
	t.Cleanup(g.Close)
	return g
}

// held returns an answer that is signed now.
func held(t testing.TB, clientID, body string, life time.Duration) *enrich.Held {
	h := &enrich.Held{}
	form := fmt.Sprintf(`{"client_id":%q,"kid":"k","signed":0,"expires":1,"body":%q,"payload":%q}`, clientID, base64.StdEncoding.EncodeToString([]byte(body)), base64.StdEncoding.EncodeToString([]byte(`{"jti":"1"}`)))
	if err := json.Unmarshal([]byte(form), h); err != nil {
		t.Fatal(err)
	}
	h.Signed = time.Now()
	h.Expires = h.Signed.Add(life)
	return h
}

func get[T any](g *gateway, field *T) T {
	g.mu.Lock()
	defer g.mu.Unlock()
	return *field
}

func set[T any](g *gateway, field *T, value T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*field = value
}

func (g *gateway) decide(_ context.Context, h *enrich.Held, _ string) (enrich.Result, error) {
	if again := get(g, &g.again); again != nil {
		if err := again(h); err != nil {
			return enrich.Result{}, err
		}
	}
	return enrich.Result{Outcome: enrich.Reused, Action: enrich.Replace, Status: 200, Body: h.Body, ClientID: h.ClientID}, nil
}

// mark sets a purge mark.
func (g *gateway) mark(name, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marks = maps.Clone(g.marks)
	g.marks[name] = value
}

// got is what a client got.
type got struct {
	enrich.Result
	waited time.Duration // in the access phase
	took   time.Duration

	panicked bool
}

// ask sends q through both phases.
func (g *gateway) ask(q Request) (r got) {
	q.ID = fmt.Sprint("request ", g.ids.Add(1))
	started := time.Now()
	defer func() {
		r.took = time.Since(started)
		r.panicked = recover() != nil
	}()
	ctx, cancel := context.WithTimeout(g.t.Context(), g.timeout)
	defer cancel()
	result, ok := g.Find(ctx, q, "")
	r.Result, r.waited = result, time.Since(started)
	if !ok {
		r.Result = g.respond(q)
	}
	return r
}

// respond asks the provider and goes through the response phase.
func (g *gateway) respond(q Request) enrich.Result {
	n := g.calls.Add(1)
	answer := reply{takes: 80 * time.Millisecond}
	if provider := get(g, &g.provider); provider != nil {
		answer = provider(&q)
	}
	time.Sleep(answer.takes)
	switch {
	case answer.never:
		return enrich.Result{}
	case answer.status != 0:
		r := enrich.Result{Outcome: enrich.UpstreamError, Action: enrich.Pass, Status: answer.status}
		if held, ok := g.Instead(g.t.Context(), q.ID, answer.status, answer.retryAfter, ""); ok {
			r = held
		}
		g.Answered(q.ID, q.Authorization, q.Body, r, answer.unfit)
		return r
	}
	r := enrich.Result{Outcome: enrich.Enriched, Action: enrich.Replace, Status: 200, ClientID: "app", Body: fmt.Appendf(nil, `{"access_token":"%d"}`, n)}
	g.Answered(q.ID, q.Authorization, q.Body, r, answer.unfit)
	return r
}

// expect fails the test unless a request has this outcome and the provider was asked so
// often.
func (g *gateway) expect(when string, q Request, outcome enrich.Outcome, calls int64) got {
	g.t.Helper()
	r := g.ask(q)
	if r.Outcome != outcome {
		g.t.Errorf("%s: got the outcome %s, want %s", when, r.Outcome, outcome)
	}
	if n := g.calls.Load(); n != calls {
		g.t.Errorf("%s: got %d calls so far, want %d", when, n, calls)
	}
	return r
}

// all asks n times at once.
func (g *gateway) all(n int, q Request) []got {
	results := make([]got, n)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = g.ask(q) })
	}
	group.Wait()
	return results
}

// in runs a test with simulated time, and checks that nothing is left behind.
func in(t *testing.T, change func(*schema.Config), f func(*testing.T, *gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, change, nil)
		f(t, g)
		g.expectNothingLeft()
	})
}

// expectNothingLeft: no request waits, and no flight outlives the requests at the
// provider.
func (g *gateway) expectNothingLeft() {
	g.t.Helper()
	synctest.Wait()
	time.Sleep(pendingLife)
	if s := g.Stats(); s.Waiting != 0 || s.Pending != 0 {
		g.t.Errorf("at the end: got %d requests that wait and %d at the provider, want none", s.Waiting, s.Pending)
	}
	if n := len(g.flights.of); n != 0 {
		g.t.Errorf("at the end: got %d flights, want none", n)
	}
}

// mustBeFree fails the test if a lock isn't free. Only this goroutine may use the gateway.
func (g *gateway) mustBeFree() {
	if !g.Answers.mu.TryLock() {
		g.t.Error("a lock is held while the clock is read")
		return
	}
	g.Answers.mu.Unlock()
}

// answered notes a sign of life, as an answer does.
func (g *gateway) answered() { g.Answers.provider.answered() }
