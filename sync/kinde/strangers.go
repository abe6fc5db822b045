package kinde

import (
	"fmt"
	"sync"
	"time"
)

// Bounds of what requests can cause that nobody has signed.
const (
	strangerLines = 10              // written a minute, for all of them together
	strangerSize  = 300             // bytes of a line's reason, which may repeat what they sent
	maxReceiving  = 256             // requests whose events are read and verified at once
	bodyTimeout   = 5 * time.Second // to send an event
)

// strangers bounds the lines about requests that nobody has signed. Safe for
// concurrent use.
type strangers struct {
	now func() time.Time

	mu     sync.Mutex
	begun  time.Time // of the minute that is counted
	n      int
	missed int // since the last line
}

// line returns the line to write about one request, "" if there have been enough
// in this minute.
func (s *strangers) line(status int, reason error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.begun) >= time.Minute {
		s.begun, s.n = now, 0
	}
	if s.n >= strangerLines {
		s.missed++
		return ""
	}
	s.n++
	text := fmt.Sprintf("an event that isn't verified: %d: %.*s", status, strangerSize, reason.Error())
	if s.missed > 0 {
		text += fmt.Sprintf(" (and %d that weren't logged)", s.missed)
	}
	s.missed = 0
	return text
}
