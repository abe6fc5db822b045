package jws

import (
	"os"
	"testing"
	"time"
)

// TestKeyFileWarning: the warning says what is wrong with the file now.
func TestKeyFileWarning(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	f.want("ES256")
	f.write("{")
	f.advance(keyFilePoll)
	f.wantWarning("neither a JWK set nor PEM")
	f.write(`{"keys":[]}`)
	f.advance(keyFilePoll)
	f.wantWarning("0 keys")
	f.want("ES256")
	f.write(set(t, private(edKey())))
	f.advance(keyFilePoll)
	f.wantWarning("")
	f.want("EdDSA")
}

func TestKeyFileThatOthersMayRead(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	if err := os.Chmod(f.path, 0o640); err != nil {
		t.Fatal(err)
	}
	f.want("ES256")
	f.wantWarning("may be read or changed by others than its owner (mode 0640)")
	if err := os.Chmod(f.path, 0o600); err != nil {
		t.Fatal(err)
	}
	f.advance(keyFilePoll)
	f.wantWarning("")
}

// TestKeyFileWhenTheClockStepsBack: a new content doesn't wait for the clock to
// come back to where it was.
func TestKeyFileWhenTheClockStepsBack(t *testing.T) {
	f := newKeyFile(t)
	f.write(set(t, private(ecKey())))
	f.want("ES256")
	f.write(set(t, private(edKey())))
	f.advance(-time.Hour)
	f.want("EdDSA")
}
