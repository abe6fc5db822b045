package plugin

import (
	"sync"
	"time"
)

// Bounds of what is logged of failures that repeat.
const (
	linesAMinute = 60   // of one outcome and client
	maxLineKinds = 1000 // outcomes and clients that are told apart
)

// lines keeps a failure that repeats from filling Kong's log. Safe for
// concurrent use.
type lines struct {
	now func() time.Time

	mu    sync.Mutex
	kinds map[lineKind]*lineCount
}

type lineKind struct{ outcome, client string }

// lineCount counts the lines of a kind within a minute.
type lineCount struct {
	begun  time.Time
	n      int
	missed int // that weren't written since one was
}

func newLines(now func() time.Time) *lines {
	return &lines{now: now, kinds: map[lineKind]*lineCount{}}
}

// allow tells whether a line of outcome and client may be written, and how many
// weren't since the last.
func (l *lines) allow(outcome, client string) (allowed bool, missed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.count(lineKind{outcome, client}, now)
	if now.Sub(c.begun) >= time.Minute {
		c.begun, c.n = now, 0
	}
	if c.n >= linesAMinute {
		c.missed++
		return false, 0
	}
	c.n++
	missed, c.missed = c.missed, 0
	return true, missed
}

// count returns the count of kind. When there are too many, those that are over
// go; if that isn't enough, the clients of an outcome share one.
func (l *lines) count(kind lineKind, now time.Time) *lineCount {
	if c := l.kinds[kind]; c != nil {
		return c
	}
	if len(l.kinds) >= maxLineKinds {
		for k, c := range l.kinds {
			if now.Sub(c.begun) >= time.Minute {
				delete(l.kinds, k)
			}
		}
	}
	if len(l.kinds) >= maxLineKinds {
		kind.client = ""
		if c := l.kinds[kind]; c != nil {
			return c
		}
	}
	c := &lineCount{begun: now}
	l.kinds[kind] = c
	return c
}
