//go:build !pkcs11

package pkcs11

import (
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// TestUnsupported: a build without PKCS #11 says so, and how to make one.
func TestUnsupported(t *testing.T) {
	f := jws.NewKeyFile("pkcs11:token=m2m;object=signing?module-path=/p11.so&pin-value=s3cret", "", time.Now)
	_, err := f.Ring(t.Context())
	if err == nil || !strings.Contains(err.Error(), "pkcs11:token=m2m;object=signing: ") || !strings.Contains(err.Error(), "go build -tags pkcs11") {
		t.Fatalf("Ring = %v, want how to build one that can", err)
	}
	if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "p11.so") {
		t.Errorf("Ring = %q, want neither the PIN nor the module in it", err)
	}
}
