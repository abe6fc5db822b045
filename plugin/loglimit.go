package plugin

import (
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
