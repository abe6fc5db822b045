//go:build pkcs11

package pkcs11

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

const maxPIN = 256 // bytes

// pin opens a token.
type pin struct {
	value   string
	changed time.Time // of its file
	exposed error     // that others may read or change its file
}

// String keeps the PIN out of messages.
func (pin) String() string { return "[redacted]" }

// pin reads the PIN. The error doesn't hold it.
func (u tokenURI) pin() (pin, error) {
	if u.pinValue != "" {
		return pin{value: u.pinValue}, nil
	}
	c := jws.ReadSecretFile(u.pinSource, maxPIN)
	if c.Err != nil {
		return pin{}, fmt.Errorf("pin-source: %w", c.Err)
	}
	value := strings.TrimRight(string(schema.WithoutMark(c.Text)), "\r\n")
	if value == "" || len(c.Text) > maxPIN {
		return pin{}, fmt.Errorf("pin-source: %s doesn't hold a PIN of 1 to %d bytes", u.pinSource, maxPIN)
	}
	return pin{value, c.Changed, c.Exposed}, nil
}

// library is a PKCS #11 library in use.
type library struct {
	mu      sync.Mutex // one login at a time, so the next one knows a refusal
	refused map[attempt]error
}

// attempt is a login. A refused PIN is tried again only if its file was written
// since. A token locks after a few wrong PINs, and each configuration reads it
// every few seconds.
type attempt struct {
	token, serial string
	pin           [sha256.Size]byte
	changed       time.Time
}

var libraries sync.Map // by path

// login opens the token. PKCS #11 has one login for the whole process, so the
// PIN doesn't matter while another configuration is logged in.
func login(u tokenURI, secret pin) (opened *token, err error) {
	if _, err := os.Stat(u.module); err != nil {
		return nil, fmt.Errorf("module-path: %w", err)
	}
	kept, _ := libraries.LoadOrStore(u.module, &library{refused: make(map[attempt]error)})
	lib := kept.(*library)
	lib.mu.Lock()
	defer lib.mu.Unlock()
	this := attempt{u.token, u.serial, sha256.Sum256([]byte(secret.value)), secret.changed}
	if err := lib.refused[this]; err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil { // crypto11 panics for a token that has a single session
			err = errors.New("the token can't be used")
		}
	}()
	context, err := crypto11.Configure(&crypto11.Config{
		Path: u.module, TokenLabel: u.token, TokenSerial: u.serial, Pin: secret.value,
		MaxSessions: maxSessions, PoolWaitTimeout: sessionTime,
	})
	if code, ok := errors.AsType[pkcs11.Error](err); ok && slices.Contains(pinRefusals, code) {
		lib.refused[this] = fmt.Errorf("the token refuses the PIN; it isn't tried again until it changes or its file is written, or the token could lock: %w", code)
		return nil, lib.refused[this]
	}
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", u.module, err)
	}
	return newToken(context), nil
}

var pinRefusals = []pkcs11.Error{
	pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED,
}
