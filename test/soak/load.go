package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"m2m-token-enricher/test/measure"
)

// load runs the clients, the operations and the watch of the plugin's process
// until the time has passed. It returns the samples of the process.
func (s *soak) load(ctx context.Context) (samples []sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.span, errOver)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var running sync.WaitGroup
	for range s.connections {
		running.Go(func() { s.client(ctx) })
	}
	for _, one := range s.operations() {
		running.Go(func() {
			if err := one.repeat(ctx); err != nil {
				fail(fmt.Errorf("%s: %w", one.name, err))
			}
		})
	}
	running.Go(func() {
		var err error
		if samples, err = s.watch(ctx); err != nil {
			fail(err)
		}
	})
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, errOver) {
		return nil, err
	}
	return samples, nil
}

var errOver = errors.New("the time has passed")

// client asks until ctx ends. The last answer of each is awaited.
func (s *soak) client(ctx context.Context) {
	c := &measure.Client{Address: measure.HostPort(s.gateway.URL())}
	defer c.Close()
	var body bytes.Buffer
	for ctx.Err() == nil {
		body.Reset()
		id := s.clientOf(s.turn.Add(1))
		x := exchange{id: id, first: s.generations.served.Load(), before: s.servedBy(id)}
		begun := time.Now()
		x.err = c.Ask(measure.TokenRequest(id), &body)
		x.body, x.last = body.Bytes(), s.generations.offered.Load()
		wrong := s.check(context.WithoutCancel(ctx), x)
		allowed := errors.Is(wrong, errLookup) && x.mayMiss() && s.outage.touches(begun, time.Now())
		if wrong != nil && !allowed {
			wrong = s.explained(wrong)
		}
		s.tally.count(wrong, allowed)
	}
}

var requestID = regexp.MustCompile(`request ([0-9a-f]{32})`)

// explained adds the line of Kong's log about a refused request.
func (s *soak) explained(wrong error) error {
	id := requestID.FindStringSubmatch(wrong.Error())
	if id == nil {
		return wrong
	}
	for line := range strings.Lines(s.gateway.Log()) {
		if strings.Contains(line, id[1]) {
			return fmt.Errorf("%w\n%s", wrong, strings.TrimSpace(line))
		}
	}
	return wrong
}

// tally counts answers. Safe for concurrent use.
type tally struct {
	requests, wrong, refused atomic.Int64
	tokens                   atomic.Int64 // that the gateway signed

	mu    sync.Mutex
	first []error // the first few wrong ones
}

// complaintsKept is how many wrong answers are reported.
const complaintsKept = 10

func (t *tally) count(wrong error, allowed bool) {
	t.requests.Add(1)
	switch {
	case wrong == nil:
		return
	case allowed:
		t.refused.Add(1)
		return
	}
	t.wrong.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.first) < complaintsKept {
		t.first = append(t.first, fmt.Errorf("wrong at %s: %w", time.Now().Format(time.TimeOnly), wrong))
	}
}

// complaints are the first wrong answers, nil if there were none.
func (t *tally) complaints() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.first...)
}
