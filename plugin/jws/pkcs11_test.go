//go:build pkcs11

package jws

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
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
	f.follow()
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
	ring, err := f.Ring()
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
				if _, err := ring.Sign(nil, []byte("{}")); err != nil {
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
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("")
	checkSigns(t, f.ring(), `"JWT"`)
	h.remove("signing", "\x02")
	h.generate("ec", "signing", "\x01")
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("two key pairs with the label")
	checkSigns(t, f.ring(), `"JWT"`)
}

func TestTokenRefuses(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	missing := filepath.Join(t.TempDir(), "missing")
	replace := func(old, new string) string { return strings.Replace(h.uri("signing"), old, new, 1) }
	encoded := url.PathEscape(h.pin)
	tests := []struct{ name, uri, part string }{
		{"no library", replace(url.PathEscape(h.module), missing), "module-path: stat " + missing},
		{"no PKCS #11 library", replace(url.PathEscape(h.module), encoded), "failed to open module"},
		{"another token", replace("token=m2m", "token=other"), "pkcs11:token=other;object=signing: module"},
		{"another serial", replace("token=m2m", "serial=1"), "could not find PKCS#11 token"},
		{"no object", h.uri("missing"), `no key pair with the label "missing"`},
		{"no id", replace("?", ";id=%09?"), `no key pair with the label "signing" and the id 09`},
		{"no PIN file", replace(encoded, missing), "pin-source: open " + missing},
		{"wrong PIN", replace("pin-source="+encoded, "pin-value=wrong-"+testPIN), "the token refuses the PIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.wantReleased() // a PIN isn't looked at while somebody is logged in
			f := h.keyFile(tt.uri)
			for range 3 {
				_, err := f.Ring()
				if err == nil || contains(err, tt.part) == "" || contains(err, "pkcs11:") == "" {
					t.Fatalf("Ring = %v, want %q in it", err, tt.part)
				}
				if contains(err, testPIN) != "" {
					t.Errorf("Ring = %q, which holds the PIN", err)
				}
				f.advanceAndRead(retryInterval)
			}
		})
	}
	for _, text := range []string{"", "\n", strings.Repeat("1", maxPIN+1)} {
		h.writePIN(text)
		if _, err := h.keyFile(h.uri("signing")).Ring(); err == nil || contains(err, "doesn't hold a PIN") == "" {
			t.Errorf("Ring with a PIN file of %d bytes: %v", len(text), err)
		}
	}
}

// TestTokenRefusedPIN: a PIN that the token refused is tried again only when
// its file was written, by no configuration.
func TestTokenRefusedPIN(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	h.writePIN("later-" + testPIN)
	f := h.keyFile(h.uri("signing"))
	f.wantNone("the token refuses the PIN")
	h.changePIN("later-" + testPIN) // the next attempt would succeed
	f.advanceAndRead(time.Hour)
	f.wantNone("the token refuses the PIN")
	h.keyFile(h.uri("other")).wantNone("the token refuses the PIN")
	if err := os.Chtimes(h.pin, start, start); err != nil {
		t.Fatal(err)
	}
	f.advanceAndRead(retryInterval)
	f.want("ES256")
}

// changePIN changes the PIN of the token, which must be used by nobody.
func (h *softHSM) changePIN(pin string) {
	h.t.Helper()
	err := h.raw(func(ctx *pkcs11.Ctx) error {
		slots, err := ctx.GetSlotList(true)
		if err != nil {
			return err
		}
		session, err := ctx.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err == nil {
			err = ctx.Login(session, pkcs11.CKU_USER, testPIN)
		}
		if err == nil {
			err = ctx.SetPIN(session, testPIN, pin)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

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

// TestTokenPINThatOthersMayRead: the PIN file is held to what a key file is.
func TestTokenPINThatOthersMayRead(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	if err := os.Chmod(h.pin, 0o644); err != nil {
		t.Fatal(err)
	}
	f := h.keyFile(h.uri("signing"))
	f.want("ES256")
	f.wantWarning(h.pin + " may be read by others than its owner (mode 0644)")
	if err := os.Chmod(h.pin, 0o600); err != nil {
		t.Fatal(err)
	}
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("")
}

// TestTokenCloses: the library is left when the ring is no longer used.
func TestTokenCloses(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	f := h.keyFile(h.uri("signing"))
	ring := f.ring()
	f.KeyFile = nil
	runtime.GC()
	if !h.inUse() {
		t.Error("the library was left while a ring was in use")
	}
	checkSigns(t, ring, `"JWT"`)
	runtime.KeepAlive(ring)
	h.wantReleased()
}

// TestTokenReopened: a token that failed at a signature is opened anew, and the
// ring from before signs on.
func TestTokenReopened(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	source := &tokenSource{uri: made(parseTokenURI(h.uri("signing")))}
	before := source.read()
	if before.err != nil {
		t.Fatal(before.err)
	}
	source.token.failed.Store(true)
	after := source.read()
	if after.err != nil || after.ring == before.ring || bytes.Equal(after.text, before.text) {
		t.Errorf("the ring is the same, or none: %v", after.err)
	}
	checkSigns(t, before.ring, `"JWT"`)
	checkSigns(t, after.ring, `"JWT"`)
}

// hanging is a key whose signatures wait until it is closed.
type hanging struct {
	crypto.Signer
	until chan struct{}
}

func (k hanging) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	<-k.until
	return nil, nil
}

// TestTokenHangs: a token that hangs holds up nobody for longer than it may.
func TestTokenHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		defer close(until)
		key := &tokenKey{hanging{ecKey(), until}, "", &token{}}
		begun := time.Now()
		_, err := key.Sign(nil, nil, nil)
		if err == nil || time.Since(begun) != tokenPatience || !key.token.failed.Load() {
			t.Errorf("Sign = %v after %v", err, time.Since(begun))
		}
	})
}

// TestTokenUnplugged: a token that goes is an error, and one that comes back is
// used again.
func TestTokenUnplugged(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	f := h.keyFile(h.uri("signing"))
	ring := f.ring()
	kid := ring.Keys()[0].ID
	h.unplug()
	if _, err := ring.Sign(nil, []byte("{}")); err == nil || contains(err, kid) == "" || contains(err, testPIN) != "" {
		t.Errorf("Sign = %v, want an error that names the key", err)
	}
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("pkcs11:token=m2m;object=signing: ")
	if got := f.ring(); got.Keys()[0].ID != kid {
		t.Errorf("the ring is %q, want that of before", ringKids(got))
	}
	h.plug()
	f.advanceAndRead(keyFilePoll)
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("")
	checkSigns(t, f.ring(), `"JWT"`)
	if got := f.ring(); got.Keys()[0].ID != kid {
		t.Errorf("the ring is %q, want the same key", ringKids(got))
	}
}

func (h *softHSM) unplug() { h.rename(h.dir, h.dir+".gone") }
func (h *softHSM) plug()   { h.rename(h.dir+".gone", h.dir) }

func (h *softHSM) rename(from, to string) {
	h.t.Helper()
	if err := os.Rename(from, to); err != nil {
		h.t.Fatal(err)
	}
}

// TestTokenMessages: neither a token's parts nor its PIN print the PIN.
func TestTokenMessages(t *testing.T) {
	u := made(parseTokenURI("pkcs11:token=m2m;object=signing?module-path=/p11.so&pin-value=" + testPIN))
	var printed bytes.Buffer
	fmt.Fprintf(&printed, "%v %+v %s", u, u, u)
	fmt.Fprintf(&printed, "%v %+v %s", made(u.pin()), made(u.pin()), made(u.pin()))
	if strings.Contains(printed.String(), testPIN) {
		t.Errorf("the PIN is printed: %s", &printed)
	}
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
					if _, err := c.ring.Sign(nil, benchPayload); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
