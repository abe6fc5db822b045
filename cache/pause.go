package cache

import (
	"sync"
	"time"
)

// pauseAfterFailure is how long a key, or a node, is left alone after it failed.
const pauseAfterFailure = time.Second

// maxFailing bounds the keys of a node that are known to fail, which are also at
// most a quarter of its places, so that those that hang leave room for others.
// Each is asked for once a second even while the node is left alone, so this also
// bounds what a silent node is asked.
const maxFailing = 16

// pause keeps requests from a node that doesn't answer, and from a key that
// fails while the node answers for others:
//
//   - A key that failed is left alone for a second, and then asked for once a
//     second until it is answered. That it fails again says nothing of the node.
//   - The node is left alone for a second when two different keys failed there
//     with no answer in between. Then one other key is tried.
//
// Safe for concurrent use.
type pause struct {
	most int // keys that are known to fail

	mu       sync.Mutex
	failing  map[string]time.Time // until when each is left alone
	doubted  bool                 // a key failed since the last answer
	answered time.Time            // last
	until    time.Time            // zero: no pause; with a monotonic reading, since clocks are set back
}

// admits reports whether key may be asked for at now. If so, the caller must
// report within about the time of trial that it failed or was answered.
func (p *pause) admits(key string, now time.Time, trial time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, known := p.end(key)
	switch {
	case now.Before(until):
		return false
	case known:
		p.failing[key] = now.Add(trial + pauseAfterFailure)
	case !until.IsZero():
		p.until = now.Add(trial + pauseAfterFailure) // for the others
	}
	return true
}

// leavesAlone reports whether key may not be asked for at now.
func (p *pause) leavesAlone(key string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, _ := p.end(key)
	return now.Before(until)
}

// end returns until when key is left alone, and whether it is known to fail.
func (p *pause) end(key string) (until time.Time, known bool) {
	if until, known = p.failing[key]; known {
		return until, true
	}
	return p.until, false
}

// fail says that key, asked for at asked, wasn't answered until now. A node that
// has answered for another key since then is well.
func (p *pause) fail(key string, asked, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.failing[key]
	p.leaveAlone(key, now)
	if known || p.answered.After(asked) {
		return
	}
	if p.doubted {
		p.until = now.Add(pauseAfterFailure)
	}
	p.doubted = true
}

// leaveAlone drops the key that failed longest ago if there are too many.
func (p *pause) leaveAlone(key string, now time.Time) {
	if p.failing == nil {
		p.failing = map[string]time.Time{}
	}
	p.failing[key] = now.Add(pauseAfterFailure)
	if len(p.failing) <= p.most {
		return
	}
	oldest := key
	for k, until := range p.failing {
		if until.Before(p.failing[oldest]) {
			oldest = k
		}
	}
	delete(p.failing, oldest)
}

// answer says that key was answered at now.
func (p *pause) answer(key string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, key)
	p.doubted, p.answered, p.until = false, now, time.Time{}
}
