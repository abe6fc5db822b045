package jws

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// keyFile is a KeyFile of a file that tests write.
type keyFile struct {
	*KeyFile
	*clock
	t    *testing.T
	path string
}

func newKeyFile(t *testing.T) *keyFile {
	f := &keyFile{clock: newClock(), t: t, path: filepath.Join(t.TempDir(), "keys.json")}
	f.KeyFile = NewKeyFile(f.path, "", f.Now)
	return f
}

func (f *keyFile) write(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *keyFile) want(alg string) {
	f.t.Helper()
	ring, err := f.Ring(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	if ring.Algorithm() != alg {
		f.t.Errorf("the ring signs with %s, want %s", ring.Algorithm(), alg)
	}
}

func (f *keyFile) wantWarning(part string) {
	f.t.Helper()
	switch err := f.Warning(context.Background()); {
	case part == "" && err != nil:
		f.t.Errorf("Warning = %q, want none", err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		f.t.Errorf("Warning = %v, want %q in it", err, part)
	}
}

func (f *keyFile) wantNone(part string) {
	f.t.Helper()
	ring, err := f.Ring(context.Background())
	if ring != nil || err == nil || !strings.Contains(err.Error(), part) {
		f.t.Errorf("Ring = %v, %v, want an error with %q", ring, err, part)
	}
	f.wantWarning("") // the error says it
}

func TestKeyFileNewContent(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	f.want("ES256")
	f.write(set(t, private(edKey())))
	f.advance(keyFilePoll - 1)
	f.want("ES256")
	f.advance(1)
	f.want("EdDSA")
	f.wantWarning("")
}

// TestKeyFileWithMark: a key file may begin with a byte order mark.
func TestKeyFileWithMark(t *testing.T) {
	for name, text := range map[string]string{"a JWK set": set(t, private(ecKey())), "PEM": pemOf(t, ecKey())} {
		if f := NewKeyFile("", "\ufeff"+text, time.Now); f.failure != nil {
			t.Errorf("%s: got %v, want a ring", name, f.failure)
		}
		if _, err := ParseRing([]byte("\ufeff\ufeff" + text)); err == nil {
			t.Errorf("%s: two marks are a ring, want an error", name)
		}
	}
	if !IsPEM([]byte("\ufeff" + pemOf(t, ecKey()))) {
		t.Error("PEM with a mark isn't waited for, want that it may grow")
	}
}

// TestKeyFileSwappedLink: Kubernetes replaces the link, not the file.
func TestKeyFileSwappedLink(t *testing.T) {
	f := newKeyFile(t)
	for alg, key := range map[string]string{"ES256": set(t, private(ecKey())), "EdDSA": set(t, private(edKey()))} {
		target, link := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "link")
		if err := os.WriteFile(target, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, f.path); err != nil {
			t.Fatal(err)
		}
		f.advance(keyFilePoll)
		f.want(alg)
	}
}

func TestKeyFileBadContent(t *testing.T) {
	for name, tt := range map[string]struct{ text, warning string }{
		"garbage":   {"garbage", "neither a JWK set nor PEM"},
		"empty":     {"", "is empty"},
		"blank":     {" \n", "is empty"},
		"public":    {set(t, public("", ecKey())), "must be private"},
		"too large": {strings.Repeat(" ", MaxRingSize) + "x", "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newKeyFile(t)
			f.write(tt.text)
			f.wantNone(f.path)
			f.wantNone(tt.warning)

			f.write(set(t, private(ecKey())))
			f.advance(retryInterval)
			f.want("ES256")
			f.wantWarning("")

			f.write(tt.text)
			f.advance(keyFilePoll)
			f.want("ES256")
			f.wantWarning(f.path)
			for range 3 {
				f.advance(keyFilePoll)
				f.want("ES256")
				f.wantWarning(f.path)
			}

			f.write("another mistake")
			f.advance(keyFilePoll)
			f.want("ES256")
			f.wantWarning("neither")

			f.write(set(t, private(edKey())))
			f.advance(keyFilePoll)
			f.want("EdDSA")
			f.write(tt.text)
			f.advance(keyFilePoll)
			f.want("EdDSA")
			f.wantWarning(tt.warning)
		})
	}
}

func TestKeyFileMissing(t *testing.T) {
	f := newKeyFile(t)
	f.wantNone(f.path)
	f.write(set(t, private(ecKey())))
	f.advance(retryInterval - 1)
	f.wantNone(f.path)
	f.advance(1)
	f.want("ES256")

	for range 2 {
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		f.advance(keyFilePoll)
		f.want("ES256")
		f.wantWarning(f.path)
		f.write(set(t, private(ecKey()))) // the same content again
		f.advance(keyFilePoll)
		f.want("ES256")
		f.wantWarning("")
	}
}

func TestKeyFileText(t *testing.T) {
	f := NewKeyFile("", set(t, private(ecKey())), time.Now)
	ring, err := f.Ring(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := f.Ring(context.Background()); again != ring {
		t.Error("the text was read twice, want once")
	}
	if err := f.Warning(context.Background()); err != nil {
		t.Errorf("Warning = %v, want none", err)
	}
	for text, part := range map[string]string{"": "empty", "garbage": "neither"} {
		if _, err := NewKeyFile("", text, time.Now).Ring(context.Background()); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Ring of text %q = %v, want %q in it", text, err, part)
		}
	}
}

// TestKeyFileChanged: a process that starts knows how old the file is.
func TestKeyFileChanged(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	changed := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(f.path, changed, changed); err != nil {
		t.Fatal(err)
	}
	f.want("ES256")
	if _, got := f.State(); !got.Equal(changed) {
		t.Errorf("changed %v, want %v", got, changed)
	}
	text := NewKeyFile("", set(t, private(ecKey())), f.Now)
	if _, got := text.State(); !got.Equal(f.Now()) {
		t.Errorf("a text: changed %v, want %v", got, f.Now())
	}
}

func TestKeyFileConcurrent(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	f.want("ES256")
	f.write("garbage")
	f.advance(keyFilePoll)
	var warnings, rings sync.Map
	together(50, func() {
		ring, err := f.Ring(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		rings.Store(ring, true)
		if _, err := ring.Sign(context.Background(), nil, []byte("{}")); err != nil {
			t.Error(err)
		}
		if err := f.Warning(context.Background()); err != nil {
			warnings.Store(err.Error(), true)
		}
	})
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if count(&rings) != 1 || count(&warnings) != 1 {
		t.Errorf("%d rings and %d warnings, want one of each", count(&rings), count(&warnings))
	}
}
