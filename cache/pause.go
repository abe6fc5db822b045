package cache

import (
	"sync"
	"time"
)

// pauseAfterFailure is how long Redis is left alone after it didn't answer.
const pauseAfterFailure = time.Second

// pause keeps requests from a store that doesn't answer. When its time is over
// one request may try, while the others go on being kept.
type pause struct {
	mu    sync.Mutex
	until time.Time // zero: none; with a monotonic reading, since clocks are set back
}

// over tells whether a request may be made at now. If it is a trial, it must
// begin or end the pause within about the time that it may take.
func (p *pause) over(now time.Time, trial time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.until) {
		return false
	}
	if !p.until.IsZero() {
		p.until = now.Add(trial + pauseAfterFailure)
	}
	return true
}

func (p *pause) begin(now time.Time) { p.set(now.Add(pauseAfterFailure)) }

func (p *pause) end() { p.set(time.Time{}) }

func (p *pause) set(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = until
}
