package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// operation is something that operators do again and again.
type operation struct {
	name  string
	every time.Duration
	once  func(ctx context.Context) error
	done  func() // counts it
}

// changes counts what operators did.
type changes struct{ reloads, rotations, restarts atomic.Int64 }

// operations have the intervals of a soak of ten minutes. A shorter soak repeats
// them more often: each must happen.
func (s *soak) operations() []operation {
	c := &s.changes
	return []operation{
		{"reload of the configuration", min(20*time.Second, s.span/4), s.reload, func() { c.reloads.Add(1) }},
		{"rotation of the keys", min(45*time.Second, s.span/4), s.rotate, func() { c.rotations.Add(1) }},
		{"move of the audit log", min(30*time.Second, s.span/4), s.moveAudit, func() {}},
		{"restart of Redis", min(150*time.Second, s.span*2/5), s.restartRedis, func() { c.restarts.Add(1) }},
	}
}

// repeat does it until ctx ends. A failure after that doesn't count.
func (o operation) repeat(ctx context.Context) error {
	begun, tick := time.Now(), time.NewTicker(o.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := o.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		o.done()
		fmt.Fprintf(os.Stderr, "%4.0f s: %s\n", time.Since(begun).Seconds(), o.name)
	}
}

// generations are those of the configuration that may serve a request: offered
// is the newest one, served the oldest one.
type generations struct{ offered, served atomic.Int64 }

// reload reloads the configuration with a claim changed. Whoever asks after it
// gets the new one.
func (s *soak) reload(context.Context) error {
	next := s.generations.offered.Load() + 1
	config, err := s.generation(next)
	if err != nil {
		return err
	}
	s.generations.offered.Store(next)
	if err := s.gateway.Reload(config); err != nil {
		return err
	}
	s.generations.served.Store(next)
	return nil
}

const (
	redisDown = 3 * time.Second
	// forgiven is how long after Redis is back a lookup may still be refused:
	// the plugin leaves it alone for a second after a failure, and then one
	// request tries it while the others wait.
	forgiven = 2 * time.Second
)

// outage is when Redis was down last. Safe for concurrent use.
type outage struct {
	mu         sync.Mutex
	begun, end time.Time // end is zero while it lasts
}

func (o *outage) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun, o.end = time.Now(), time.Time{}
}

func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = time.Now()
}

// touches reports whether Redis was down, or its outage is still forgiven, at
// some time from begun to end.
func (o *outage) touches(begun, end time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.begun.IsZero() && end.After(o.begun) && (o.end.IsZero() || begun.Before(o.end.Add(forgiven)))
}

// restartRedis stops the server for a while. It keeps its records.
func (s *soak) restartRedis(ctx context.Context) error {
	s.outage.begin()
	if err := s.records.Stop(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(redisDown):
	}
	if err := s.records.Restart(ctx); err != nil {
		return err
	}
	s.outage.over()
	return nil
}
