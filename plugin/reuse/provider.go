package reuse

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	signCounts = time.Second     // for which a sign of life counts, and a failed probe; also the shortest time between two probes
	probeTime  = 2 * time.Second // for one probe, at least
	lateCounts = 5 * time.Minute // for which a sign of life counts once that came when nobody waited for it
	maxPause   = time.Hour       // for which a provider's Retry-After is honoured
)

// provider knows whether the provider gives signs of life. Safe for concurrent use.
type provider struct {
	ask   func(context.Context) error // asks the provider for a sign of life
	limit time.Duration               // for a request that waits for a probe
	now   func() time.Time

	ending context.Context // ends with close
	end    context.CancelFunc
	probes sync.WaitGroup

	mu          sync.Mutex
	lived       time.Time // of the last sign of life
	late        time.Time // of the last one that came too late for those that waited, zero if that counted since
	failed      time.Time // of the last failed probe, zero if a sign of life came since
	pausedUntil time.Time // the provider asked for that
	probe       *probe    // the last one
	closed      bool
}

// probe is one question to the provider, and those who wait for its end.
type probe struct {
	started time.Time
	done    chan struct{}
}

func (p *probe) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func newProvider(ask func(context.Context) error, limit time.Duration, now func() time.Time) *provider {
	p := &provider{ask: ask, limit: limit, now: now}
	p.ending, p.end = context.WithCancel(context.Background())
	return p
}

// answered notes that the provider answered a token request, whatever the answer.
func (p *provider) answered() {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives(now)
}

func (p *provider) lives(now time.Time) { p.lived, p.late, p.failed = now, time.Time{}, time.Time{} }

// refused notes an answer 429 or 5xx with its Retry-After.
func (p *provider) refused(status int, retryAfter string) {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return
	}
	now := p.now()
	until := now.Add(pause(retryAfter, now))
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.pausedUntil) {
		p.pausedUntil = until
	}
}

// pause returns for how long the provider wants no request, 0 if retryAfter doesn't say
// (RFC 9110, section 10.2.3).
func pause(retryAfter string, now time.Time) time.Duration {
	retryAfter = strings.TrimSpace(retryAfter)
	if date, err := http.ParseTime(retryAfter); err == nil {
		return min(max(date.Sub(now), 0), maxPause)
	}
	seconds, err := strconv.ParseUint(retryAfter, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(seconds, uint64(maxPause/time.Second))) * time.Second
}

// alive reports whether the provider gives a sign of life. It waits no longer than ctx
// and the limit.
func (p *provider) alive(ctx context.Context) bool {
	alive, wait := p.judge(p.now())
	if wait == nil {
		return alive
	}
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	slow := false
	select {
	case <-wait.done:
	case <-timer.C:
		slow = true
	case <-ctx.Done():
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if slow {
		p.fails(wait, now) // until it ends, nobody waits for it
	}
	return p.livedAt(now)
}

// fails notes that q failed, unless a sign of life came since it started.
func (p *provider) fails(q *probe, now time.Time) {
	if p.lived.Before(q.started) {
		p.failed = now
	}
}

// judge reports what is known at now, or returns the probe to wait for. While probes
// fail, the next one runs in the background.
func (p *provider) judge(now time.Time) (alive bool, wait *probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || now.Before(p.pausedUntil):
		return false, nil
	case p.livedAt(now):
		return true, nil
	case !p.late.IsZero() && now.Sub(p.late) < lateCounts:
		p.late = time.Time{}
		return true, nil
	}
	known := !p.failed.IsZero() && (now.Sub(p.failed) < signCounts || p.probe.running())
	if p.probe == nil || !p.probe.running() && now.Sub(p.probe.started) >= signCounts {
		p.start(now)
	}
	if known {
		return false, nil
	}
	return false, p.probe
}

func (p *provider) livedAt(now time.Time) bool {
	return !p.lived.IsZero() && now.Sub(p.lived) < signCounts
}

// start starts a probe.
func (p *provider) start(now time.Time) {
	q := &probe{started: now, done: make(chan struct{})}
	p.probe = q
	p.probes.Go(func() {
		ctx, cancel := context.WithTimeout(p.ending, max(p.limit, probeTime))
		defer cancel()
		err := p.question(ctx)
		now := p.now()
		p.mu.Lock()
		defer p.mu.Unlock()
		defer close(q.done)
		if err != nil {
			p.fails(q, now)
			return
		}
		p.lives(now)
		if now.Sub(q.started) >= p.limit {
			p.late = now // else a slow provider would never be asked
		}
	})
}

// question asks the provider. A panic would end the process.
func (p *provider) question(ctx context.Context) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the probe panicked")
		}
	}()
	return p.ask(ctx)
}

// close ends the probe that runs.
func (p *provider) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.probes.Wait()
}
