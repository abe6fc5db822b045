//go:build !pkcs11

package jws

import (
	"context"
	"testing"
)

// TestTokenWithoutPKCS11: a build without PKCS #11 says so, and how to make one.
func TestTokenWithoutPKCS11(t *testing.T) {
	f := NewKeyFile("pkcs11:token=m2m;object=signing?module-path=/p11.so&pin-value=s3cret", "", newClock().Now)
	_, err := f.Ring(context.Background())
	if err == nil || contains(err, "go build -tags pkcs11") == "" || contains(err, "pkcs11:token=m2m;object=signing:") == "" {
		t.Fatalf("Ring = %v, want how to build one that can", err)
	}
	if part := contains(err, "s3cret", "p11.so"); part != "" {
		t.Errorf("Ring = %q, which holds %q", err, part)
	}
}
