//go:build pkcs11

package jws

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"

	"m2m-token-enricher/test/await"
)

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
				_, err := f.Ring(context.Background())
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
		if _, err := h.keyFile(h.uri("signing")).Ring(context.Background()); err == nil || contains(err, "doesn't hold a PIN") == "" {
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
	f.wantWarning(h.pin + " may be read or changed by others than its owner (mode 0644)")
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
	if _, err := ring.Sign(context.Background(), nil, []byte("{}")); err == nil || contains(err, kid) == "" || contains(err, testPIN) != "" {
		t.Errorf("Sign = %v, want an error that names the key", err)
	}
	f.advanceAndRead(keyFilePoll)
	f.wantWarning("pkcs11:token=m2m;object=signing: ")
	if got := f.ring(); got.Keys()[0].ID != kid {
		t.Errorf("the ring is %q, want that of before", ringKids(got))
	}
	h.plug()
	await.Nil(t, func() error { // the library starts anew once the failed token is closed, which happens beside
		f.advanceAndRead(keyFilePoll)
		_, err := f.ring().Sign(context.Background(), nil, []byte("{}"))
		return err
	})
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
