//go:build pkcs11

package jws

import (
	"context"
	"crypto/elliptic"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
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
	module := softHSMModule()
	if err != nil || module == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("softhsm2-util isn't installed")
		}
		t.Skip("softhsm2-util isn't installed (Debian: apt-get install softhsm2)")
	}
	h := &softHSM{t: t, module: module, dir: filepath.Join(t.TempDir(), "tokens"), pin: filepath.Join(t.TempDir(), "pin")}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "softhsm2.conf")
	text := "directories.tokendir = " + h.dir + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.Command(tool, "--module", module, "--init-token", "--free", "--label", "m2m", "--pin", testPIN, "--so-pin", "so-"+testPIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	h.writePIN(testPIN + "\n")
	t.Cleanup(h.wantReleased)
	return h
}

// wantReleased waits until nobody uses the library: rings that are no longer
// referred to close their token.
func (h *softHSM) wantReleased() {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); h.inUse(); runtime.Gosched() {
		if time.Now().After(deadline) {
			h.t.Fatal("the library is still in use")
		}
		runtime.GC()
	}
}

func (h *softHSM) inUse() bool { return h.raw(func(*pkcs11.Ctx) error { return nil }) != nil }

func softHSMModule() string {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func (h *softHSM) writePIN(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.pin, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// uri names the ring of the key pairs with the label object.
func (h *softHSM) uri(object string) string {
	return fmt.Sprintf("pkcs11:token=m2m;object=%s?module-path=%s&pin-source=%s", object, url.PathEscape(h.module), url.PathEscape(h.pin))
}

// use calls f with the open token.
func (h *softHSM) use(f func(*crypto11.Context)) {
	h.t.Helper()
	context, err := crypto11.Configure(&crypto11.Config{Path: h.module, TokenLabel: "m2m", Pin: testPIN})
	if err != nil {
		h.t.Fatal(err)
	}
	defer context.Close()
	f(context)
}

// generate makes a key pair that can't leave the token.
func (h *softHSM) generate(kind, label, id string) {
	h.t.Helper()
	public := made(crypto11.NewAttributeSetWithIDAndLabel([]byte(id), []byte(label)))
	private := public.Copy()
	for attribute, value := range map[crypto11.AttributeType]bool{crypto11.CkaSensitive: true, crypto11.CkaExtractable: false} {
		if err := private.Set(attribute, value); err != nil {
			h.t.Fatal(err)
		}
	}
	h.use(func(context *crypto11.Context) {
		var err error
		switch kind {
		case "rsa":
			_, err = context.GenerateRSAKeyPairWithAttributes(public, private, 2048)
		case "weak":
			_, err = context.GenerateRSAKeyPairWithAttributes(public, private, 1024)
		case "ec":
			_, err = context.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256())
		}
		if err != nil {
			h.t.Fatal(err)
		}
	})
}

// remove deletes a key pair.
func (h *softHSM) remove(label, id string) {
	h.t.Helper()
	h.use(func(context *crypto11.Context) {
		pair, err := context.FindKeyPair([]byte(id), []byte(label))
		if err == nil {
			err = pair.Delete()
		}
		if err != nil {
			h.t.Fatal(err)
		}
	})
}

func (h *softHSM) keyFile(uri string) *keyFile {
	f := &keyFile{clock: newClock(), t: h.t.(*testing.T)}
	f.KeyFile = NewKeyFile(uri, "", f.Now)
	f.readWhole()
	return f
}

// readWhole starts a read if one is due and waits for its end, which may take
// longer than a request's patience.
func (f *keyFile) readWhole() {
	f.follow(context.Background())
	f.KeyFile.mu.Lock()
	reading := f.reading
	f.KeyFile.mu.Unlock()
	if reading != nil {
		<-reading
	}
}

func (f *keyFile) advanceAndRead(d time.Duration) {
	f.advance(d)
	f.readWhole()
}

// ring returns the ring that is in use.
func (f *keyFile) ring() *Ring {
	f.t.Helper()
	ring, err := f.Ring(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return ring
}

// TestTokenSigns: tokens that a key in a token signed are verified with the
// set that is published.
func TestTokenSigns(t *testing.T) {
	h := newSoftHSM(t)
	for kind, alg := range map[string]string{"rsa": "RS256", "ec": "ES256"} {
		t.Run(alg, func(t *testing.T) {
			h.generate(kind, kind, "\x01")
			f := h.keyFile(h.uri(kind))
			f.want(alg)
			f.wantWarning("")
			ring := f.ring()
			checkPublished(t, ring, ringKids(ring))
			for range 20 { // r and s of ES256 are of any length
				checkSigns(t, ring, `"at+jwt"`)
			}
			together(4*maxSessions, func() { // more than there are sessions
				if _, err := ring.Sign(context.Background(), nil, []byte("{}")); err != nil {
					t.Error(err)
				}
			})
			f.advanceAndRead(keyFilePoll)
			if f.ring() != ring {
				t.Error("the same keys made a new ring")
			}
		})
	}
}

// TestTokenSignsPS256: what a token makes of PS256 is verified, too.
func TestTokenSignsPS256(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("rsa", "signing", "\x01")
	h.use(func(context *crypto11.Context) {
		ring, err := NewRing(Key{Signer: made(context.FindKeyPair(nil, []byte("signing"))), Algorithm: "PS256"})
		if err != nil {
			t.Fatal(err)
		}
		checkSigns(t, ring, `"JWT"`)
	})
}

// TestTokenKeepsPrivateKey: the private value can't be read from the token.
func TestTokenKeepsPrivateKey(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("rsa", "signing", "\x01")
	h.generate("ec", "signing", "\x02")
	source := &tokenSource{uri: made(parseTokenURI(h.uri("signing")))}
	if c := source.read(); c.err != nil {
		t.Fatal(c.err)
	}
	keys, err := source.token.keys(source.uri)
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys = %v, %v", keys, err)
	}
	private := []crypto11.AttributeType{crypto11.CkaPrivateExponent, crypto11.CkaValue}
	for i, key := range keys {
		value, err := source.token.context.GetAttribute(key.Signer, private[i])
		if err != pkcs11.Error(pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
			t.Errorf("the private value of key %d: %v, %v", i+1, value, err)
		}
	}
}

// TestTokenRotation: a second pair is published within a poll, signs when the
// configuration names it, and the first may go.
func TestTokenRotation(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	h.generate("ec", "other", "\x00")
	f := h.keyFile(h.uri("signing"))
	first := ringKids(f.ring())
	if len(first) != 1 {
		t.Fatalf("the ring is %q", first)
	}
	h.generate("rsa", "signing", "\x02")
	f.advanceAndRead(keyFilePoll)
	f.want("ES256")
	both := ringKids(f.ring())
	if len(both) != 2 || both[0] != first[0] {
		t.Fatalf("the ring is %q after one more than %q", both, first)
	}
	promoted := h.keyFile(strings.Replace(h.uri("signing"), "?", ";id=%02?", 1))
	promoted.want("RS256")
	if got := ringKids(promoted.ring()); len(got) != 2 || got[0] != both[1] || got[1] != both[0] {
		t.Errorf("the ring is %q once the second of %q signs", got, both)
	}
	h.remove("signing", "\x01")
	promoted.advanceAndRead(keyFilePoll)
	promoted.want("RS256")
	if got := ringKids(promoted.ring()); len(got) != 1 || got[0] != both[1] {
		t.Errorf("the ring is %q once the first of %q is gone", got, both)
	}
}

// TestTokenOfABadKey: a key pair that can't be in a ring leaves the one that
// was there.
func TestTokenOfABadKey(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	f := h.keyFile(h.uri("signing"))
	f.want("ES256")
	h.generate("weak", "signing", "\x02")
	f.advanceAndRead(keyFilePoll)
	f.want("ES256")
	f.wantWarning("key 2: an RSA key of 1024 bits is too weak")
	checkSigns(t, f.ring(), `"JWT"`)
	h.remove("signing", "\x02")
	h.generate("ec", "signing", "\x01")
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("two key pairs with the label")
	checkSigns(t, f.ring(), `"JWT"`)
}

func BenchmarkTokenSign(b *testing.B) {
	h := newSoftHSM(b)
	for _, kind := range []string{"ec", "rsa"} {
		h.generate(kind, kind, "\x01")
		c := readToken(made(parseTokenURI(h.uri(kind))))()
		if c.err != nil {
			b.Fatal(c.err)
		}
		b.Run(c.ring.Algorithm(), func(b *testing.B) { benchSign(b, c.ring) })
		b.Run(c.ring.Algorithm()+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.ring.Sign(context.Background(), nil, benchPayload); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
