//go:build pkcs11

package pkcs11

import (
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/go-jose/go-jose/v4"
	"github.com/miekg/pkcs11"

	"m2m-token-enricher/plugin/jws"
)

const testPIN = "5e3cre7-7391"

// softHSM is a token of SoftHSM in a directory of its own.
type softHSM struct {
	t      testing.TB
	module string
	dir    string // of the token
	pin    string // file
}

func newSoftHSM(t testing.TB) *softHSM {
	t.Helper()
	tool, err := exec.LookPath("softhsm2-util")
	paths := []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"}
	installed := slices.IndexFunc(paths, func(path string) bool { _, err := os.Stat(path); return err == nil })
	if err != nil || installed < 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("softhsm2-util isn't installed")
		}
		t.Skip("softhsm2-util isn't installed (Debian: apt-get install softhsm2)")
	}
	h := &softHSM{t: t, module: paths[installed], dir: filepath.Join(t.TempDir(), "tokens"), pin: filepath.Join(t.TempDir(), "pin")}
	h.must(os.Mkdir(h.dir, 0o700))
	conf := filepath.Join(t.TempDir(), "softhsm2.conf")
	h.must(os.WriteFile(conf, []byte("directories.tokendir = "+h.dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.Command(tool, "--module", h.module, "--init-token", "--free", "--label", "m2m", "--pin", testPIN, "--so-pin", "so-"+testPIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	h.writePIN(testPIN + "\n")
	t.Cleanup(h.wantReleased)
	return h
}

func (h *softHSM) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// wantReleased waits until nobody uses the library: a ring that nothing refers
// to closes its token.
func (h *softHSM) wantReleased() {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); h.inUse(); runtime.Gosched() {
		if time.Now().After(deadline) {
			h.t.Fatal("the library is still in use after 10 s")
		}
		runtime.GC()
	}
}

func (h *softHSM) inUse() bool { return h.raw(func(*pkcs11.Ctx) error { return nil }) != nil }

// raw calls f with the library alone. It is an error if anybody uses it.
func (h *softHSM) raw(f func(*pkcs11.Ctx) error) error {
	ctx := pkcs11.New(h.module)
	defer ctx.Destroy()
	if err := ctx.Initialize(); err != nil {
		return err
	}
	defer ctx.Finalize()
	return f(ctx)
}

func (h *softHSM) writePIN(text string) {
	h.t.Helper()
	h.must(os.WriteFile(h.pin, []byte(text), 0o600))
}

// uri names the ring of the key pairs with the label object.
func (h *softHSM) uri(object string) string {
	return fmt.Sprintf("pkcs11:token=m2m;object=%s?module-path=%s&pin-source=%s", object, url.PathEscape(h.module), url.PathEscape(h.pin))
}

// source returns a source of the ring with the label object.
func (h *softHSM) source(object string) *source {
	h.t.Helper()
	return open(h.uri(object)).(*source)
}

// use calls f with the open token.
func (h *softHSM) use(f func(*crypto11.Context) error) {
	h.t.Helper()
	context, err := crypto11.Configure(&crypto11.Config{Path: h.module, TokenLabel: "m2m", Pin: testPIN})
	h.must(err)
	defer context.Close()
	h.must(f(context))
}

// generate makes a key pair that can't leave the token.
func (h *softHSM) generate(kind, label, id string) {
	h.t.Helper()
	public, err := crypto11.NewAttributeSetWithIDAndLabel([]byte(id), []byte(label))
	h.must(err)
	private := public.Copy()
	h.must(private.Set(crypto11.CkaSensitive, true))
	h.must(private.Set(crypto11.CkaExtractable, false))
	h.use(func(context *crypto11.Context) (err error) {
		switch kind {
		case "rsa":
			_, err = context.GenerateRSAKeyPairWithAttributes(public, private, 2048)
		case "weak":
			_, err = context.GenerateRSAKeyPairWithAttributes(public, private, 1024)
		case "ec":
			_, err = context.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256())
		}
		return err
	})
}

// remove deletes a key pair.
func (h *softHSM) remove(label, id string) {
	h.t.Helper()
	h.use(func(context *crypto11.Context) error {
		pair, err := context.FindKeyPair([]byte(id), []byte(label))
		if err != nil {
			return err
		}
		return pair.Delete()
	})
}

// read returns the ring of a source that can be read.
func read(t testing.TB, s jws.RingSource) *jws.Ring {
	t.Helper()
	c := s.Read()
	if c.Err != nil {
		t.Fatal(c.Err)
	}
	return c.Ring
}

// wantError reads s, which must fail with part in the error and without the PIN.
func wantError(t *testing.T, s jws.RingSource, part string) {
	t.Helper()
	err := s.Read().Err
	if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "pkcs11:") {
		t.Fatalf("Read: %v, want %q in the error", err, part)
	}
	if strings.Contains(err.Error(), testPIN) {
		t.Errorf("Read: %q, which holds the PIN", err)
	}
}

// wantKeys compares the ring's keys, by kid.
func wantKeys(t *testing.T, ring *jws.Ring, want ...string) {
	t.Helper()
	if got := kids(ring); !slices.Equal(got, want) {
		t.Fatalf("the ring has the keys %q, want %q", got, want)
	}
}

func kids(ring *jws.Ring) (list []string) {
	for _, key := range ring.Keys() {
		list = append(list, key.ID)
	}
	return list
}

// checkSigns: a token of ring is verified with the set that it publishes.
func checkSigns(t *testing.T, ring *jws.Ring) {
	t.Helper()
	token, err := ring.Sign(t.Context(), nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	var published jose.JSONWebKeySet
	if err := json.Unmarshal(ring.PublicSet(), &published); err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(ring.Algorithm())})
	if err == nil {
		_, err = parsed.Verify(published)
	}
	if err != nil {
		t.Errorf("go-jose doesn't verify a token of %s: %v", ring.Algorithm(), err)
	}
}
