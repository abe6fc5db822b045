package jws

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func pemOf(t *testing.T, keys ...any) string {
	t.Helper()
	var text strings.Builder
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return text.String()
}

// written is a key file with a time of writing, by the test's clock.
type written struct {
	*KeyFile
	t    *testing.T
	path string
}

func newWritten(t *testing.T) *written {
	path := filepath.Join(t.TempDir(), "keys.pem")
	return &written{NewKeyFile(path, "", time.Now), t, path}
}

func (w *written) write(text string, age time.Duration) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(w.path, at, at); err != nil {
		w.t.Fatal(err)
	}
}

// count returns how many keys are published to a request that waits a little, 0
// without a ring.
func (w *written) count() int {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stableTime/8)
	defer cancel()
	ring, err := w.Ring(ctx)
	if err != nil {
		return 0
	}
	return len(ring.Keys())
}

// TestKeyFileWhilePEMIsWritten: a PEM file has no end mark, and a part of it may
// look complete. A part is never published, and the complete file is soon.
func TestKeyFileWhilePEMIsWritten(t *testing.T) {
	for name, tt := range map[string]struct {
		before, part, whole string
		want                int
	}{
		"the first ring":   {"", pemOf(t, ecKey()), pemOf(t, ecKey(), edKey(), rsaKey()), 3},
		"a key is added":   {pemOf(t, ecKey(), edKey()), pemOf(t, ecKey()), pemOf(t, ecKey(), edKey(), rsaKey()), 3},
		"a key is removed": {pemOf(t, ecKey(), edKey(), rsaKey()), pemOf(t, edKey()), pemOf(t, edKey(), rsaKey()), 2},
		"in three parts":   {pemOf(t, ecKey(), edKey(), rsaKey()), pemOf(t, edKey(), ecKey())[:200], pemOf(t, edKey()), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, before := newWritten(t), 0
				if tt.before != "" {
					f.write(tt.before, time.Minute)
					before = f.count()
				}
				time.Sleep(keyFilePoll)
				begun := time.Now()
				f.write(tt.part, 0)
				for range 2 { // less than stableTime
					if n := f.count(); n != before {
						t.Fatalf("%d keys while it is written, want %d", n, before)
					}
					time.Sleep(stableTime / 4)
				}
				f.write(tt.whole, 0)
				for f.count() == before {
					if time.Since(begun) > 10*time.Second {
						t.Fatal("the new ring isn't there after 10 s")
					}
					time.Sleep(stableTime / 4)
				}
				if n := f.count(); n != tt.want {
					t.Errorf("%d keys, want %d", n, tt.want)
				}
				if err := f.Warning(context.Background()); err != nil {
					t.Errorf("Warning = %v, want none", err)
				}
			})
		})
	}
}

// TestKeyFileComplete: a file that was written a while ago or has an end is used at
// the first read. The first request after a change has the new keys.
func TestKeyFileComplete(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		age  time.Duration
	}{
		"PEM of a minute ago": {pemOf(t, edKey()), time.Minute},
		"JSON of just now":    {set(t, private(edKey())), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newWritten(t)
				f.write(pemOf(t, ecKey(), edKey()), time.Minute)
				if n := f.count(); n != 2 {
					t.Errorf("%d keys, want 2", n)
				}
				time.Sleep(time.Hour)
				f.write(tt.text, tt.age)
				if n := f.count(); n != 1 {
					t.Errorf("%d keys, want 1", n)
				}
			})
		})
	}
}

// TestKeyFileThatKeepsChanging: the previous ring signs, and a warning says why.
func TestKeyFileThatKeepsChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newWritten(t)
		f.write(pemOf(t, ecKey(), edKey()), time.Minute)
		f.count()
		time.Sleep(keyFilePoll)
		var warning error
		for i := range 40 {
			f.write(pemOf(t, []any{ecKey(), edKey()}[i%2]), 0)
			if n := f.count(); n != 2 {
				t.Fatalf("%d keys, want 2", n)
			}
			if err := f.Warning(context.Background()); err != nil {
				warning = err
			}
			time.Sleep(stableTime / 2)
		}
		if warning == nil || !strings.Contains(warning.Error(), "keeps changing") {
			t.Errorf("Warning = %v, want that the file keeps changing", warning)
		}
		time.Sleep(2 * stableTime)
	})
}

// TestKeyFileThatIsNoFile: reading a pipe or a device could hang, so it isn't opened
// as a key file, and a warning says so.
func TestKeyFileThatIsNoFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"a link to a pipe": func(path string) error {
			if err := syscall.Mkfifo(path+".pipe", 0o600); err != nil {
				return err
			}
			return os.Symlink(path+".pipe", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newKeyFile(t)
			if err := put(f.path); err != nil {
				t.Fatal(err)
			}
			f.wantNone("is not a regular file")
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
			f.write(set(t, private(ecKey())))
			f.advance(retryInterval)
			f.want("ES256")
			if err := os.Remove(f.path); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(f.path + ".pipe")
			if err := put(f.path); err != nil {
				t.Fatal(err)
			}
			f.advance(keyFilePoll)
			f.want("ES256")
			f.wantWarning("is not a regular file")
		})
	}
}

// slowSource waits before each read.
type slowSource struct {
	RingSource
	wait func()
}

func (s slowSource) Read() RingContent {
	s.wait()
	return s.RingSource.Read()
}

// TestKeyFileOnAHungMount: while a read hangs, in a file's server or a token's
// library, the previous ring signs. Nobody waits for long, no second read starts,
// and a warning says so.
func TestKeyFileOnAHungMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newWritten(t)
		f.write(set(t, private(ecKey())), time.Minute)
		f.count()
		var under atomic.Int32
		resume := make(chan struct{})
		f.source = slowSource{f.source, func() { under.Add(1); <-resume }}
		begun := time.Now()
		for time.Since(begun) < time.Hour {
			time.Sleep(keyFilePoll)
			before := time.Now()
			if n := f.count(); n != 1 {
				t.Fatalf("%d keys, want 1", n)
			}
			if waited := time.Since(before); waited > keyFilePatience {
				t.Fatalf("a request waited for %v, want at most %v", waited, keyFilePatience)
			}
			err, since := f.Warning(context.Background()), time.Since(begun)
			if warned := err != nil && strings.Contains(err.Error(), "hasn't ended"); warned != (since >= keyFilePoll+readTime) {
				t.Fatalf("Warning after %v = %v, want one from %v on", since, err, keyFilePoll+readTime)
			}
		}
		if n := under.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
		f.write(set(t, private(edKey()), private(ecKey())), 0)
		close(resume)
		synctest.Wait()
		if n := f.count(); n != 2 {
			t.Errorf("%d keys, want 2", n)
		}
		if err := f.Warning(context.Background()); err != nil {
			t.Errorf("Warning = %v, want none", err)
		}
	})
}
