package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/rotation"
)

var start = time.Unix(1_800_000_000, 0)

// must fails the test if a step of its preparation does.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// newFile writes a file of one key, made at start.
func newFile(t *testing.T) (path, kid string) {
	t.Helper()
	text, err := rotation.Generate("ec", start)
	must(t, err)
	path = filepath.Join(t.TempDir(), "keys.json")
	must(t, rotation.Create(path, text))
	return path, kids(t, path)[0]
}

func kids(t *testing.T, path string) []string {
	t.Helper()
	s, err := rotation.Load(path)
	must(t, err)
	var kids []string
	for _, k := range s.Keys {
		kids = append(kids, k.ID)
	}
	return kids
}

func addTo(t *testing.T, path, kind string, now time.Time) (kid string) {
	t.Helper()
	must(t, rotation.Update(path, func(s *rotation.Set) (err error) { kid, err = s.Add(kind, now); return err }))
	return kid
}

func promote(t *testing.T, path, kid string, now time.Time) {
	t.Helper()
	must(t, rotation.Update(path, func(s *rotation.Set) error { return s.Promote(kid, rotation.DefaultPolicy, false, now) }))
}

// lifeOfAll writes a file with a key in each role, and returns its path and a
// replacer of the thumbprints by names of the same length.
func lifeOfAll(t *testing.T) (string, *strings.Replacer) {
	t.Helper()
	path, retired := newFile(t)
	at := start.Add(90 * 24 * time.Hour)
	former := addTo(t, path, "rsa", at)
	promote(t, path, former, at.Add(time.Hour))
	must(t, rotation.Update(path, func(s *rotation.Set) error { return s.Retire(retired, at.Add(2*time.Hour)) }))
	signing := addTo(t, path, "ed25519", at.Add(3*time.Hour))
	promote(t, path, signing, at.Add(4*time.Hour))
	next := addTo(t, path, "", at.Add(5*time.Hour))
	var names []string
	for _, kid := range [][2]string{{retired, "the-first-one"}, {former, "the-second-one"}, {signing, "the-third-one"}, {next, "the-fourth-one"}} {
		names = append(names, kid[0], fmt.Sprintf("%-43s", kid[1]))
	}
	return path, strings.NewReplacer(names...)
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestList(t *testing.T) {
	path, names := lifeOfAll(t)
	at := start.Add(90*24*time.Hour + 5*time.Hour + 90*time.Second)
	list := func(url string) string {
		var out strings.Builder
		err := (&keysRun{file: path, url: url, policy: rotation.DefaultPolicy, now: at, stdout: &out}).list(t.Context())
		if err != nil {
			fmt.Fprintf(&out, "%v\n", err)
		}
		return names.Replace(out.String())
	}
	golden(t, "list.golden", list(""))
	at = at.Add(48 * time.Hour)
	golden(t, "list-later.golden", list(""))
	at = start.Add(-time.Hour)
	golden(t, "list-clock-back.golden", list(""))

	s, err := rotation.Load(path)
	must(t, err)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.Public()) }))
	defer gateway.Close()
	at = start.Add(90*24*time.Hour + 30*time.Hour)
	golden(t, "list-same.golden", list(gateway.URL))
	must(t, rotation.Update(path, func(s *rotation.Set) error { return s.Remove(s.Keys[2].ID, rotation.DefaultPolicy, true, at) }))
	added := addTo(t, path, "", at)
	golden(t, "list-differs.golden", strings.ReplaceAll(list(gateway.URL), added, fmt.Sprintf("%-43s", "the-fifth-one")))
}

// TestListPEM: of a PEM file nothing but the keys is known.
func TestListPEM(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	path := filepath.Join(t.TempDir(), "keys.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600), os.Chtimes(path, start, start))
	var out strings.Builder
	run := &keysRun{file: path, policy: rotation.DefaultPolicy, now: start, stdout: &out}
	must(t, run.list(t.Context()))
	golden(t, "list-pem.golden", strings.ReplaceAll(out.String(), kids(t, path)[0], fmt.Sprintf("%-43s", "the-only-one")))
}

// TestListRefusesAnotherSet: an answer that isn't the gateway's own set, whole, is
// no base for a comparison.
func TestListRefusesAnotherSet(t *testing.T) {
	path, kid := newFile(t)
	s, err := rotation.Load(path)
	must(t, err)
	private, err := os.ReadFile(path)
	must(t, err)
	mux := http.NewServeMux()
	for name, body := range map[string]string{
		"set": string(s.Public()), "large": string(s.Public()) + strings.Repeat(" ", 64<<10), "html": "<html>", "private": string(private), "none": `{"keys":[]}`,
	} {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	}
	mux.Handle("/moved", http.RedirectHandler("/set", http.StatusFound))
	gateway := httptest.NewServer(mux)
	defer gateway.Close()
	for name, want := range map[string]string{
		"set": "", "large": "more than 65536 bytes", "html": "not a JWK set", "private": "key 1 is private",
		"none": "no key", "moved": "status 302", "absent": "status 404",
	} {
		got, err := fetchPublished(t.Context(), gateway.URL+"/"+name)
		switch {
		case want == "" && (err != nil || len(got) != 1 || got[0] != kid):
			t.Errorf("%s: got %v, %v, want %s", name, got, err, kid)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
