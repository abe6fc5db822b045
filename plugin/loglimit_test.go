package plugin

import (
	"errors"
	"testing"
	"time"
)

// TestWarning: a warning is logged when it comes, after a minute if it has changed,
// and every hour if it hasn't.
func TestWarning(t *testing.T) {
	var w warning
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name   string
		after  time.Duration // since the last step
		source string        // "": nothing is wrong
		logged bool
	}{
		{"nothing is wrong", 0, "", false},
		{"it comes", 0, "a", true},
		{"it changes at once", otherWarning - 1, "b", false},
		{"it has changed for a minute", 1, "b", true},
		{"it stays for less than an hour", sameWarning - 1, "b", false},
		{"it stays for an hour", 1, "b", true},
		{"it ends", otherWarning, "", false},
		{"it comes back", 0, "b", true},
		{"it ends and comes back at once", otherWarning - 1, "b", false},
	} {
		now = now.Add(tt.after)
		asked := false
		err := w.next(now, func() error {
			if asked = true; tt.source != "" {
				return errors.New(tt.source)
			}
			return nil
		})
		if (err != nil) != tt.logged || err != nil && err.Error() != tt.source {
			t.Errorf("%s: next = %v, want logged %t", tt.name, err, tt.logged)
		}
		if want := now.Sub(w.logged) >= otherWarning || tt.logged || w.logged.IsZero(); asked != want {
			t.Errorf("%s: asked = %t, want %t", tt.name, asked, want)
		}
	}
}
