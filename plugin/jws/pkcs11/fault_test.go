//go:build pkcs11

package pkcs11

import (
	"bytes"
	"crypto"
	"errors"
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

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/test/await"
)

func TestTokenRefuses(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	missing := filepath.Join(t.TempDir(), "missing")
	replace := func(old, new string) string { return strings.Replace(h.uri("signing"), old, new, 1) }
	encoded := url.PathEscape(h.pin)
	for _, tt := range []struct{ name, uri, part string }{
		{"no library", replace(url.PathEscape(h.module), missing), "module-path: stat " + missing},
		{"no PKCS #11 library", replace(url.PathEscape(h.module), encoded), "failed to open module"},
		{"another token", replace("token=m2m", "token=other"), "pkcs11:token=other;object=signing: module"},
		{"another serial", replace("token=m2m", "serial=1"), "could not find PKCS#11 token"},
		{"no object", h.uri("missing"), `no key pair with the label "missing"`},
		{"no id", replace("?", ";id=%09?"), `no key pair with the label "signing" and the id 09`},
		{"no PIN file", replace(encoded, missing), "pin-source: open " + missing},
		{"wrong PIN", replace("pin-source="+encoded, "pin-value=wrong-"+testPIN), "the token refuses the PIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.wantReleased() // a PIN doesn't matter while somebody is logged in
			s := open(tt.uri)
			for range 3 {
				wantError(t, s, tt.part)
			}
		})
	}
	for _, text := range []string{"", "\n", strings.Repeat("1", maxPIN+1)} {
		h.writePIN(text)
		wantError(t, h.source("signing"), "doesn't hold a PIN")
	}
}

// TestTokenRefusedPIN: no configuration tries a refused PIN again before its
// file is written.
func TestTokenRefusedPIN(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	h.writePIN("later-" + testPIN)
	s := h.source("signing")
	wantError(t, s, "the token refuses the PIN")
	h.changePIN("later-" + testPIN) // the next attempt would succeed
	wantError(t, s, "the token refuses the PIN")
	wantError(t, h.source("other"), "the token refuses the PIN")
	h.must(os.Chtimes(h.pin, time.Time{}, time.Unix(1_800_000_000, 0)))
	checkSigns(t, read(t, s))
}

// changePIN changes the PIN of a token that nobody uses.
func (h *softHSM) changePIN(pin string) {
	h.t.Helper()
	h.must(h.raw(func(ctx *pkcs11.Ctx) error {
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
	}))
}

// TestTokenPINThatOthersMayRead: the rule is that for a key file.
func TestTokenPINThatOthersMayRead(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	s := h.source("signing")
	for mode, want := range map[os.FileMode]string{0o600: "<nil>", 0o644: h.pin + " may be read or changed by others than its owner (mode 0644)"} {
		h.must(os.Chmod(h.pin, mode))
		if c := s.Read(); fmt.Sprint(c.Exposed) != want || c.Err != nil {
			t.Errorf("mode %v: Exposed = %v, Err = %v, want %s", mode, c.Exposed, c.Err, want)
		}
	}
}

// TestTokenCloses: the library is released when the ring is no longer used.
func TestTokenCloses(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	ring := read(t, h.source("signing"))
	runtime.GC()
	if !h.inUse() {
		t.Error("the library was released while a ring was in use")
	}
	checkSigns(t, ring)
	runtime.KeepAlive(ring)
	h.wantReleased()
}

// TestTokenReopened: a token that failed at a signature is opened again, and the
// previous ring still signs.
func TestTokenReopened(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	s := h.source("signing")
	before := s.Read()
	if before.Err != nil {
		t.Fatal(before.Err)
	}
	s.token.failed.Store(true)
	after := s.Read()
	if after.Err != nil || after.Ring == before.Ring || bytes.Equal(after.Text, before.Text) {
		t.Fatalf("Read = %v, want another ring and another text", after)
	}
	checkSigns(t, before.Ring)
	checkSigns(t, after.Ring)
}

// signerFunc is a key in a library that does what the function does.
type signerFunc func() ([]byte, error)

func (f signerFunc) Public() crypto.PublicKey { return nil }

func (f signerFunc) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return f() }

// TestTokenSignFails: no request waits for a token that hangs for longer than
// signTime, and a panic ends no process. A token that has failed is opened again.
func TestTokenSignFails(t *testing.T) {
	hang := make(chan struct{})
	for name, tt := range map[string]struct {
		sign   signerFunc
		part   string
		after  time.Duration
		failed bool
	}{
		"hangs":          {func() ([]byte, error) { <-hang; return nil, nil }, "didn't answer within 1s", signTime, true},
		"is removed":     {func() ([]byte, error) { return nil, pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED) }, "CKR_DEVICE_REMOVED", 0, true},
		"has no session": {func() ([]byte, error) { return nil, errors.New("pool timeout") }, "pool timeout", 0, false},
		"panics":         {func() ([]byte, error) { panic(testPIN) }, "the token's library panicked", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang = make(chan struct{})
				defer close(hang)
				k := &key{tt.sign, "", &token{}}
				begun := time.Now()
				_, err := k.Sign(nil, nil, nil)
				if err == nil || !strings.Contains(err.Error(), tt.part) || time.Since(begun) != tt.after || strings.Contains(err.Error(), testPIN) {
					t.Errorf("Sign = %v after %v, want %q after %v", err, time.Since(begun), tt.part, tt.after)
				}
				if got := k.token.failed.Load(); got != tt.failed {
					t.Errorf("failed = %t, want %t", got, tt.failed)
				}
			})
		})
	}
}

// TestTokenUnplugged: a missing token is an error, and one that is back is used
// again.
func TestTokenUnplugged(t *testing.T) {
	h := newSoftHSM(t)
	h.generate("ec", "signing", "\x01")
	s := h.source("signing")
	ring := read(t, s)
	kid := ring.KeyID()
	h.must(os.Rename(h.dir, h.dir+".gone"))
	if _, err := ring.Sign(t.Context(), nil, []byte("{}")); err == nil || !strings.Contains(err.Error(), kid) || strings.Contains(err.Error(), testPIN) {
		t.Errorf("Sign = %v, want an error that names the key", err)
	}
	wantError(t, s, "pkcs11:token=m2m;object=signing: ")
	h.must(os.Rename(h.dir+".gone", h.dir))
	var again *jws.Ring
	await.Nil(t, func() error { // the library starts again once the failed token is closed, in a goroutine
		c := s.Read()
		if again = c.Ring; c.Err != nil {
			return c.Err
		}
		_, err := again.Sign(t.Context(), nil, []byte("{}"))
		return err
	})
	runtime.KeepAlive(ring) // a gateway keeps it, too
	wantKeys(t, again, kid)
	checkSigns(t, again)
}

// TestTokenMessages: neither a token's parts nor its PIN print the PIN.
func TestTokenMessages(t *testing.T) {
	s := open("pkcs11:token=m2m;object=signing?module-path=/p11.so&pin-value=" + testPIN).(*source)
	secret, err := s.uri.pin()
	if printed := fmt.Sprintf("%v %+v %v %+v %s", s, s.uri, secret, secret, secret); err != nil || strings.Contains(printed, testPIN) {
		t.Errorf("printed: %s, %v, want no PIN", printed, err)
	}
}
