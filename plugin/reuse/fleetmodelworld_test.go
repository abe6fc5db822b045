package reuse_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/reuse"
	"m2m-token-enricher/schema"
)

// timeline is a value with its history.
type timeline[T comparable] struct{ changes []change[T] }

type change[T comparable] struct {
	at    time.Time
	value T
}

func (l *timeline[T]) set(value T) { l.changes = append(l.changes, change[T]{time.Now(), value}) }

func (l *timeline[T]) now() T { return l.changes[len(l.changes)-1].value }

// was reports whether the value satisfied want at some moment since from.
func (l *timeline[T]) was(from time.Time, want func(T) bool) bool {
	for i := len(l.changes) - 1; i >= 0; i-- {
		if want(l.changes[i].value) {
			return true
		}
		if l.changes[i].at.Before(from) {
			return false
		}
	}
	return false
}

// node is a gateway, whose process may be replaced while it has requests under way.
type node struct {
	w        *world
	name     int
	identity byte
	process  atomic.Pointer[process]
}

// process is what one start of a gateway has in memory.
type process struct {
	node     *node
	identity byte
	answers  *reuse.Answers
	enricher *enrich.Enricher

	mu     sync.Mutex
	marks  map[string]string // as seen last
	seen   time.Time
	purges map[string]time.Time // what the marks are of
}

// start replaces the process. Its requests under way go on.
func (n *node) start() {
	cfg := modelConfig(n.w.settings)
	p := &process{node: n, identity: n.identity}
	deps := enrich.Dependencies{Verifier: n.w.provider, Ring: n.w.ring, Records: n.w.records, Now: time.Now}
	var err error
	if p.enricher, err = enrich.New(cfg, deps); err != nil {
		n.w.t.Fatal(err)
	}
	o := reuse.Options{
		Config: cfg, Identity: sha256.Sum256([]byte{n.identity}),
		Again: func(ctx context.Context, h *enrich.Held, ip string) (enrich.Result, error) {
			return p.enricher.Again(ctx, h, ip, time.Now())
		},
		Marks: p.purgeMarks, Alive: n.w.provider.alive, Now: time.Now, Random: n.w.float,
	}
	if n.w.shared {
		o.Shared = n.w.redis
	}
	p.answers = reuse.New(o)
	if old := n.process.Swap(p); old != nil {
		go old.answers.Close()
	}
	synctest.Wait()
}

func modelConfig(s settings) *schema.Config {
	entries := 10_000
	if s.small {
		entries = 20
	}
	text := fmt.Sprintf(`{"issuer": "https://idp.example.com", "redis": {"host": "redis"}, "signing": {"jwks_file": "/k"}, "timeout": %d,
		"management_audiences": ["https://idp.example.com/api"], "claims": [{"name": "plan", "from": "application.plan"}, {"name": "org_code", "from": "organization.code"}],
		"reuse": {"enabled": true, "max_age": %d, "share_of_life": %v, "min_remaining": %d, "max_entries": %d, "coalesce": %t,
			"shared": %t, "secret": "0123456789abcdef0123456789abcdef", "if_provider_fails": %t}}`,
		modelTimeout/time.Millisecond, s.maxAge/time.Second, s.share, s.least/time.Second, entries, s.coalesce, s.shared, s.outages)
	cfg, err := schema.ParseInstance([]byte(text))
	if err == nil {
		err = enrich.Complete(cfg)
	}
	if err != nil {
		panic(err)
	}
	return cfg
}

const (
	marksTTL   = 500 * time.Millisecond
	marksStale = 20 * time.Second
)

// purgeMarks is what the tier of records says of the marks.
func (p *process) purgeMarks(ctx context.Context) (map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.marks != nil && time.Since(p.seen) < marksTTL {
		return p.marks, nil
	}
	marks, err := p.node.w.redis.readMarks()
	if err == nil {
		p.marks, p.seen = marks, time.Now()
		p.node.w.mu.Lock()
		p.purges = maps.Clone(p.node.w.purged)
		p.node.w.mu.Unlock()
	}
	if p.marks == nil || time.Since(p.seen) > marksStale {
		return nil, errors.New("the marks are unavailable")
	}
	return p.marks, nil
}

// purgedAt is when the last purge was that the process knows of.
func (p *process) purgedAt(client string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.purges["all"]
	if one := p.purges["client:"+client]; one.After(at) {
		at = one
	}
	return at
}

// ring signs with the key of the moment. Its tokens are plain texts.
func (w *world) ring(context.Context) (enrich.Ring, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return plainRing(w.keyID.now()), nil
}

type plainRing string

func (r plainRing) Has(thumbprint string) bool { return thumbprint == string(r) }
func (r plainRing) KeyID() string              { return string(r) }
func (r plainRing) Sign(_ context.Context, _ jsontext.Value, payload []byte) (string, error) {
	return string(r) + "." + base64.RawURLEncoding.EncodeToString(payload) + ".gateway", nil
}

// records are applications and their organizations, with their histories.
type records struct {
	mu    sync.Mutex
	plans map[string]*timeline[string]
	state map[string]*timeline[string] // of the organization: "false" or "true" if suspended, "away" if Redis doesn't answer
}

func newRecords() *records {
	return &records{plans: map[string]*timeline[string]{}, state: map[string]*timeline[string]{}}
}

// of returns the histories of a client's records. The caller holds mu.
func (r *records) of(client string) (plan, state *timeline[string]) {
	if r.plans[client] == nil {
		r.plans[client], r.state[client] = &timeline[string]{}, &timeline[string]{}
		r.plans[client].set("plan-0")
		r.state[client].set("false")
	}
	return r.plans[client], r.state[client]
}

// change changes the plan of a client, or suspends its organization or ends that.
func (r *records) change(client string, what int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	plan, state := r.of(client)
	if what == 0 {
		plan.set(fmt.Sprintf("plan-%d", len(plan.changes)%3))
		return
	}
	next := map[string]string{"false": "true", "true": "false", "away": "false"}[state.now()]
	if what == 2 && state.now() == "false" {
		next = "away"
	}
	state.set(next)
}

func (r *records) now(client string) (plan, state string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, s := r.of(client)
	return p.now(), s.now()
}

// Record implements [enrich.Records].
func (r *records) Record(_ context.Context, kind schema.Kind, id string) (schema.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	client := strings.TrimPrefix(id, "org-")
	plan, state := r.of(client)
	switch {
	case state.now() == "away":
		return nil, fmt.Errorf("redis is away: %w", schema.ErrUnavailable)
	case kind == schema.Organization:
		return schema.Record{"code": id, "is_suspended": state.now()}, nil
	}
	return schema.Record{"org_code": "org-" + id, "plan": plan.now()}, nil
}
