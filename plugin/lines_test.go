package plugin

import (
	"bytes"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLines(func() time.Time { return now })
	write := func(outcome, client string, n int) (written, missed int) {
		for range n {
			if ok, m := l.allow(outcome, client); ok {
				written++
				missed += m
			}
		}
		return written, missed
	}
	if written, _ := write("unknown_application", "a", linesAMinute+15); written != linesAMinute {
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
		t.Errorf("%d lines after a minute, which tell of %d", written, missed)
	}
	if _, missed := write("unknown_application", "a", 1); missed != 0 {
		t.Errorf("the next one tells of %d again", missed)
	}
}

// TestManyClients: who makes up clients takes neither memory nor the lines of
// the others.
func TestManyClients(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLines(func() time.Time { return now })
	written := 0
	for i := range 5 * maxLineKinds {
		if ok, _ := l.allow("unknown_application", fmt.Sprint(i)); ok {
			written++
		}
	}
	if len(l.kinds) > maxLineKinds+1 || written > maxLineKinds+linesAMinute {
		t.Errorf("%d kinds and %d lines", len(l.kinds), written)
	}
	now = now.Add(time.Minute)
	if ok, _ := l.allow("unknown_application", "new"); !ok || len(l.kinds) > 2 {
		t.Errorf("%d kinds after a minute", len(l.kinds))
	}
}

// TestRefusalsAreLimited: a stranger that connects to a socket again and again
// doesn't fill the log. The line says how to let that user in.
func TestRefusalsAreLimited(t *testing.T) {
	var out bytes.Buffer
	before := log.Writer()
	log.SetOutput(&out)
	defer log.SetOutput(before)
	refused := logRefusals("/run/m2m.socket", "-socket-user")
	for range 10 * linesAMinute {
		refused("user 8")
	}
	if n := strings.Count(out.String(), "\n"); n != linesAMinute {
		t.Errorf("%d lines, want %d", n, linesAMinute)
	}
	for _, want := range []string{"user 8.", "-socket-user ", "/run/m2m.socket "} {
		if n := strings.Count(out.String(), want); n != linesAMinute {
			t.Errorf("%d lines have %q, want %d", n, want, linesAMinute)
		}
	}
}
