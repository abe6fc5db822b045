package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/test/pdktest"
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

// TestFailureLimit: of each outcome and client a minute has so many lines, and the
// next line says how many weren't logged.
func TestFailureLimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newFailureLimit(func() time.Time { return now })
	write := func(outcome, client string, n int) (written, missed int) {
		for range n {
			if ok, m := l.allow(outcome, client); ok {
				written++
				missed += m
			}
		}
		return written, missed
	}
	if written, _ := write("unknown_application", "a", failuresPerMinute+15); written != failuresPerMinute {
		t.Errorf("%d lines of a burst", written)
	}
	if written, _ := write("unknown_application", "b", 3); written != 3 {
		t.Errorf("%d lines of another client", written)
	}
	if written, _ := write("missing_property", "a", 3); written != 3 {
		t.Errorf("%d lines of another outcome", written)
	}
	now = now.Add(time.Minute)
	if written, missed := write("unknown_application", "a", 1); written != 1 || missed != 15 {
		t.Errorf("after a minute %d lines that report %d, want 1 and 15", written, missed)
	}
	if _, missed := write("unknown_application", "a", 1); missed != 0 {
		t.Errorf("the next line reports %d, want 0", missed)
	}
}

// TestManyClients: made up clients take neither memory nor the lines of others.
func TestManyClients(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newFailureLimit(func() time.Time { return now })
	written := 0
	for i := range 5 * maxFailureKinds {
		if ok, _ := l.allow("unknown_application", fmt.Sprint(i)); ok {
			written++
		}
	}
	if len(l.kinds) > maxFailureKinds+1 || written > maxFailureKinds+failuresPerMinute {
		t.Errorf("%d kinds and %d lines", len(l.kinds), written)
	}
	now = now.Add(time.Minute)
	if ok, _ := l.allow("unknown_application", "new"); !ok || len(l.kinds) > 2 {
		t.Errorf("%d kinds after a minute", len(l.kinds))
	}
}

// TestRefusalsAreLimited: a stranger that keeps connecting to a socket doesn't fill
// the log. The line says how to let that user in.
func TestRefusalsAreLimited(t *testing.T) {
	var out bytes.Buffer
	before := log.Writer()
	log.SetOutput(&out)
	defer log.SetOutput(before)
	refused := logRefusals("/run/m2m.socket", "-socket-user")
	for range 10 * failuresPerMinute {
		refused("user 8")
	}
	if n := strings.Count(out.String(), "\n"); n != failuresPerMinute {
		t.Errorf("%d lines, want %d", n, failuresPerMinute)
	}
	for _, want := range []string{"user 8.", "-socket-user ", "/run/m2m.socket "} {
		if n := strings.Count(out.String(), want); n != failuresPerMinute {
			t.Errorf("%d lines have %q, want %d", n, want, failuresPerMinute)
		}
	}
}

// TestPrintedIsLimited: what a workflow prints is in the log with the client, each line
// as one line, and no client fills the log.
func TestPrintedIsLimited(t *testing.T) {
	k := &pdktest.Kong{}
	handle(t, k, "response", func(side *pdk.Event) {
		now := time.Unix(0, 0)
		e := &event{kong: side, failures: newFailureLimit(func() time.Time { return now })}
		lines := slices.Repeat([]string{"a\nb"}, enrich.MaxPrinted)
		for range 2 {
			logPrinted(e, enrich.Result{ClientID: "chatty", Printed: lines})
		}
		logPrinted(e, enrich.Result{ClientID: "quiet", Printed: []string{"c"}})
		now = now.Add(time.Minute)
		logPrinted(e, enrich.Result{ClientID: "chatty", Printed: lines[:1]})
	})
	if n := failuresPerMinute + 2; len(k.Log) != n {
		t.Fatalf("%d lines, want %d", len(k.Log), n)
	}
	for n, want := range map[int]string{
		0:                     `workflow client="chatty" printed="a\nb"`,
		failuresPerMinute:     `workflow client="quiet" printed="c"`,
		failuresPerMinute + 1: `workflow client="chatty" printed="a\nb" not_logged=40`,
	} {
		if k.Log[n] != want {
			t.Errorf("line %d is %s, want %s", n, k.Log[n], want)
		}
	}
}
