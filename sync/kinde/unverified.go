package kinde

import (
	"fmt"
	"sync"
	"time"
)

// Limits of what unsigned requests can cost.
const (
	unverifiedLines  = 10              // that are logged a minute, for all senders together
	unverifiedReason = 300             // bytes of a line's reason, which may repeat what was sent
	maxReceiving     = 256             // requests that are read and verified at once
	bodyTimeout      = 5 * time.Second // to send an event
)

// unverifiedLog limits the lines about requests without the tenant's signature.
// Safe for concurrent use.
type unverifiedLog struct {
	now func() time.Time

	mu      sync.Mutex
	minute  time.Time // its beginning
	lines   int       // of this minute
	skipped int       // since the last line
}

// line returns the line for one request, "" if this minute has enough of them.
func (l *unverifiedLog) line(status int, reason error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.minute) >= time.Minute {
		l.minute, l.lines = now, 0
	}
	if l.lines >= unverifiedLines {
		l.skipped++
		return ""
	}
	l.lines++
	text := fmt.Sprintf("an event that isn't verified: %d: %.*s", status, unverifiedReason, reason.Error())
	if l.skipped > 0 {
		text += fmt.Sprintf(" (and %d that weren't logged)", l.skipped)
	}
	l.skipped = 0
	return text
}
