package plugin

import (
	"maps"
	"sync"
	"time"
)

// How often the warning of one source is logged while its cause lasts.
const (
	sameWarning  = time.Hour   // if it stays the same
	otherWarning = time.Minute // if it changes, or comes back
)

// warning keeps one source's warning from filling Kong's log: it is logged when it
// comes, after a minute if it has changed, and every hour if it hasn't. Safe for
// concurrent use.
type warning struct {
	mu     sync.Mutex
	text   string // the one logged last; "" once its cause has ended
	logged time.Time
}

// next returns what source warns of if it is time to log that, otherwise nil. A
// source whose warning couldn't be logged now isn't asked.
func (w *warning) next(now time.Time, source func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := now.Sub(w.logged)
	if !w.logged.IsZero() && since < otherWarning {
		return nil
	}
	err := source()
	if err == nil {
		w.text = ""
		return nil
	}
	if text := err.Error(); text != w.text || since >= sameWarning {
		w.text, w.logged = text, now
		return err
	}
	return nil
}

// Bounds of what is logged of failed requests.
const (
	failuresPerMinute = 60   // of one outcome and client
	maxFailureKinds   = 1000 // outcomes and clients that are counted apart
)

// failureLimit keeps failed requests from filling Kong's log. Safe for concurrent
// use.
type failureLimit struct {
	now func() time.Time

	mu     sync.Mutex
	minute time.Time // when the present one began
	kinds  map[failureKind]*failureCount
}

type failureKind struct{ outcome, client string }

// failureCount counts the failures of a kind.
type failureCount struct {
	logged  int // in this minute
	skipped int // since the last one logged
}

func newFailureLimit(now func() time.Time) *failureLimit {
	return &failureLimit{now: now, kinds: map[failureKind]*failureCount{}}
}

// allow reports whether a failure may be logged, and how many of its kind weren't
// since the last one. When there are too many kinds, the clients of an outcome
// share one.
func (l *failureLimit) allow(outcome, client string) (allowed bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.minute) >= time.Minute {
		l.minute = now
		maps.DeleteFunc(l.kinds, func(_ failureKind, c *failureCount) bool {
			idle := c.logged == 0 || c.skipped == 0
			c.logged = 0
			return idle
		})
	}
	kind := failureKind{outcome, client}
	if l.kinds[kind] == nil && len(l.kinds) >= maxFailureKinds {
		kind.client = ""
	}
	c := l.kinds[kind]
	if c == nil {
		c = &failureCount{}
		l.kinds[kind] = c
	}
	if c.logged >= failuresPerMinute {
		c.skipped++
		return false, 0
	}
	c.logged++
	skipped, c.skipped = c.skipped, 0
	return true, skipped
}
