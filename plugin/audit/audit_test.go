package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"m2m-token-enricher/test/await"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var issued = Entry{
	Time: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC), TokenID: "t-1", Issuer: "https://example.kinde.com", Client: "app-1",
	Organization: "org_1", Claims: []string{"org_code", "org_name"}, KeyID: "kid-1",
}

// lines returns those of the files, the oldest first.
func lines(t *testing.T, paths ...string) (all []string) {
	t.Helper()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for scan := bufio.NewScanner(f); scan.Scan(); {
			all = append(all, scan.Text())
		}
		f.Close()
	}
	return all
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestIssued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := Open(path, 1<<20)
	l.Issued(issued)
	l.Issued(Entry{Time: issued.Time, Issuer: "i", Client: "c", Claims: []string{}, KeyID: "k"})
	l.Issued(Entry{Time: issued.Time, TokenID: "\n\u009b31m\u202e", Issuer: "i", Client: "c", Claims: []string{}, KeyID: "k"})
	l.Issued(Entry{Time: issued.Time, TokenID: "t-1", Issuer: "i", Client: "c", Claims: []string{}, KeyID: "k", Reused: true})
	closed(t, l)
	want := []string{
		`{"time":"2026-11-24T09:30:00Z","jti":"t-1","issuer":"https://example.kinde.com","client":"app-1","organization":"org_1","claims":["org_code","org_name"],"kid":"kid-1"}`,
		`{"time":"2026-11-24T09:30:00Z","issuer":"i","client":"c","claims":[],"kid":"k"}`,
		`{"time":"2026-11-24T09:30:00Z","jti":"\n\u009b31m\u202e","issuer":"i","client":"c","claims":[],"kid":"k"}`,
		`{"time":"2026-11-24T09:30:00Z","jti":"t-1","issuer":"i","client":"c","claims":[],"kid":"k","reused":true}`,
	}
	if got := lines(t, path); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

// TestWrittenSoon: no line waits for another token, nor for the end.
func TestWrittenSoon(t *testing.T) {
	l := Open(filepath.Join(t.TempDir(), "audit.log"), 1<<20)
	for n := 1; n <= 3; n++ {
		l.Issued(issued)
		await.Nil(t, func() error {
			text, err := os.ReadFile(l.file.path)
			if got := strings.Count(string(text), "\n"); got != n {
				return fmt.Errorf("%d lines, not %d: %w", got, n, err)
			}
			return nil
		})
	}
	closed(t, l)
}

// TestManyAtOnce: every token has its own line, or is counted.
func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := Open(path, 1<<30)
	var issuing sync.WaitGroup
	for i := range 8 {
		issuing.Go(func() {
			for n := range 2000 {
				e := issued
				e.TokenID = fmt.Sprintf("%d-%d", i, n)
				l.Issued(e)
			}
		})
	}
	issuing.Wait()
	closed(t, l)
	seen := map[string]bool{}
	var gaps uint64
	for _, line := range lines(t, path) {
		var e struct {
			TokenID string `json:"jti"`
			Missed  uint64 `json:"missed"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.TokenID != "" && seen[e.TokenID] {
			t.Errorf("%s is there twice", e.TokenID)
		}
		seen[e.TokenID] = true
		gaps += e.Missed
	}
	delete(seen, "")
	if uint64(len(seen))+l.Missed() != 16000 || gaps != l.Missed() {
		t.Errorf("%d lines and %d missed, %d of them in the file, want 16000 together", len(seen), l.Missed(), gaps)
	}
}

// unread is a log whose queue has room for n entries and that nothing reads yet.
func unread(t *testing.T, n int) *Log { return newLog(newFile(t, 1<<20), n) }

// TestSlowFile: nobody waits for a file that takes nothing, and what it missed is
// reported.
func TestSlowFile(t *testing.T) {
	l := unread(t, 2)
	for range 5 {
		l.Issued(issued)
	}
	if l.Missed() != 3 {
		t.Fatalf("missed %d", l.Missed())
	}
	if err := l.Warning(); err == nil || !strings.Contains(err.Error(), "3 tokens are missing") || !strings.Contains(err.Error(), "slower") {
		t.Errorf("Warning = %v, want one of 3 tokens", err)
	}
	if err := l.Warning(); err != nil {
		t.Errorf("Warning = %v, want none: nothing was lost since", err)
	}
	go l.run()
	closed(t, l)
	got := lines(t, l.file.path)
	if len(got) != 3 || !strings.Contains(got[0], `"missed":3`) {
		t.Errorf("got %q", got)
	}
}

// TestUnwritable: the warning comes before the first token and while it lasts, and
// what is issued after the fix is written.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	l := Open(filepath.Join(dir, "audit.log"), 1<<20)
	await.Nil(t, func() error {
		if err := l.Warning(); err == nil || !strings.Contains(err.Error(), "0 tokens are missing") {
			return fmt.Errorf("at the start: %v", err)
		}
		return nil
	})
	l.Issued(issued)
	await.True(t, "the missing line's count", func() bool { return l.Missed() == 1 })
	for range 2 {
		if err := l.Warning(); err == nil || !strings.Contains(err.Error(), "1 tokens are missing in it since the plugin started: open the audit log") {
			t.Errorf("Warning = %v, want one of 1 token", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Issued(issued)
	closed(t, l)
	if got := lines(t, l.file.path); len(got) != 2 || !strings.Contains(got[0], `"missed":1`) {
		t.Errorf("got %q", got)
	}
	if err := l.Warning(); err != nil {
		t.Errorf("Warning = %v, want none after the fix", err)
	}
}

// TestBatches: what waits is written in pieces that each fit a file.
func TestBatches(t *testing.T) {
	l := unread(t, 600)
	l.file.maxSize = maxBatch + 1000
	for range 600 { // of some 170 bytes
		l.Issued(issued)
	}
	go l.run()
	closed(t, l)
	if got := len(lines(t, l.file.path+".1")) + len(lines(t, l.file.path)); got != 600 {
		t.Errorf("%d lines in two files, want 600", got)
	}
}

// TestFullForAWhile: the lines that fitted aren't missing, and the file has how many
// are even if no token follows.
func TestFullForAWhile(t *testing.T) {
	if !alone(t) {
		return
	}
	l := unread(t, 10)
	for range 4 {
		l.Issued(issued)
	}
	unlimit := limitFiles(t, 500) // two lines of 169 bytes, and a part of the third
	b := batch{log: l}
	for range 4 {
		b.add(<-l.queue)
	}
	b.write()
	if l.Missed() != 2 {
		t.Errorf("missed %d", l.Missed())
	}
	unlimit()
	go l.run()
	closed(t, l)
	got := lines(t, l.file.path)
	if len(got) != 4 || !strings.Contains(got[1], `"jti"`) || strings.HasSuffix(got[2], "}") || !strings.Contains(got[3], `"missed":2`) {
		t.Errorf("got %q", got)
	}
}

// TestFileGoesAway: only what came afterwards is missing.
func TestFileGoesAway(t *testing.T) {
	l := unread(t, 10)
	b := batch{log: l}
	for n := range uint64(3) {
		b.add(issued)
		b.write()
		if l.Missed() != n {
			t.Fatalf("missed %d, not %d", l.Missed(), n)
		}
		if n > 0 {
			continue
		}
		l.file.path = filepath.Join(l.file.path, "no directory")
	}
}

// TestNoLog: a nil log costs nothing and does nothing.
func TestNoLog(t *testing.T) {
	var l *Log
	cost := testing.AllocsPerRun(100, func() {
		l.Issued(issued)
		if l.Missed() != 0 || l.Warning() != nil || l.Close() != nil {
			t.Error("it does something")
		}
	})
	if cost != 0 {
		t.Errorf("%v allocations", cost)
	}
}
