package cache

import (
	"sync"
	"time"
)

// retryInterval is how long a key or a node isn't asked after a failure.
const retryInterval = time.Second

// maxFailing bounds the keys of a node that are known to fail. They are also at
// most a quarter of its slots, which leaves room for others while they hang. Each
// is fetched once a second even while the node is blocked, so this also bounds
// how often a silent node is asked.
const maxFailing = 16

// breaker keeps fetches from a node that doesn't answer, and from a key that
// fails while the node answers for others:
//
//   - A key that failed is blocked for a second, and then fetched once a second
//     until it is answered. Its further failures say nothing about the node.
//   - The node is blocked for a second when two different keys failed there with
//     no answer in between. Then one other key is tried.
//
// Safe for concurrent use.
type breaker struct {
	maxFailing int

	mu        sync.Mutex
	failing   map[string]time.Time // until when each key is blocked
	suspect   bool                 // a key failed since the last answer
	succeeded time.Time            // last
	until     time.Time            // zero: not blocked; with a monotonic reading, because clocks can be set back
}

// allow reports whether key may be fetched at now. If so, the caller must report
// within about the time of trial that it failed or succeeded.
func (b *breaker) allow(key string, now time.Time, trial time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, failing := b.blockedUntil(key)
	switch {
	case now.Before(until):
		return false
	case failing:
		b.failing[key] = now.Add(trial + retryInterval)
	case !until.IsZero():
		b.until = now.Add(trial + retryInterval) // for the others
	}
	return true
}

// blocks reports whether key may not be fetched at now.
func (b *breaker) blocks(key string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, _ := b.blockedUntil(key)
	return now.Before(until)
}

// failed reports whether the last fetch of key failed.
func (b *breaker) failed(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, failing := b.failing[key]
	return failing
}

// blockedUntil returns until when key is blocked, and whether it is known to fail.
func (b *breaker) blockedUntil(key string) (until time.Time, failing bool) {
	if until, failing = b.failing[key]; failing {
		return until, true
	}
	return b.until, false
}

// fail records that key, asked for at asked, wasn't answered until now. It says
// nothing about a node that has answered for another key since then.
func (b *breaker) fail(key string, asked, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.failing[key]
	b.block(key, now)
	if known || b.succeeded.After(asked) {
		return
	}
	if b.suspect {
		b.until = now.Add(retryInterval)
	}
	b.suspect = true
}

// block drops the key that failed longest ago if there are too many.
func (b *breaker) block(key string, now time.Time) {
	if b.failing == nil {
		b.failing = map[string]time.Time{}
	}
	b.failing[key] = now.Add(retryInterval)
	if len(b.failing) <= b.maxFailing {
		return
	}
	oldest := key
	for k, until := range b.failing {
		if until.Before(b.failing[oldest]) {
			oldest = k
		}
	}
	delete(b.failing, oldest)
}

// succeed records that key was answered at now.
func (b *breaker) succeed(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failing, key)
	b.suspect, b.succeeded, b.until = false, now, time.Time{}
}
