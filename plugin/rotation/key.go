// Package rotation leads the keys of a ring's file through their lives: added,
// signing, signed before, retired, removed. The file is the whole state: the
// times of each step are members of its JWKs.
package rotation

import (
	"fmt"
	"strconv"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// Members of a JWK that hold the time of a step, in Unix seconds.
const (
	createdMember     = "m2m_created"      // it was put into the file
	signingMember     = "m2m_signing"      // it began to sign
	signedUntilMember = "m2m_signed_until" // it ended to sign
	retiredMember     = "m2m_retired"      // its private part was dropped
)

// privateMembers are the members of a JWK that only its owner may know (RFC
// 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// Role is what a key is for at present.
type Role string

// The roles of a key, in the order of its life.
const (
	Next    Role = "next"    // published, and never signed
	Signing Role = "signing" // the first of the file
	Former  Role = "former"  // signed before, and still could
	Retired Role = "retired" // signed before, and can't any more
)

// Key is one key of a file.
type Key struct {
	jws.RingKey
	Role Role
	// When the steps of its life were. Zero means not yet, or unknown.
	Created, Signing, SignedUntil, Retired time.Time
	// Foreign tells that the file says nothing of the key's life: another tool
	// put it in.
	Foreign bool

	jwk *splice.Object // nil in a PEM file
}

// newKey reads the times of key from its JWK. changed is when the file was
// changed last.
func newKey(key jws.RingKey, jwk *splice.Object, first bool, changed time.Time) Key {
	k := Key{RingKey: key, jwk: jwk}
	if jwk != nil {
		k.Created, k.Signing = readTime(jwk, createdMember), readTime(jwk, signingMember)
		k.SignedUntil, k.Retired = readTime(jwk, signedUntilMember), readTime(jwk, retiredMember)
	}
	k.assume(first, changed)
	k.Role = k.role(first)
	return k
}

// assume fills in what the file doesn't say, so that no step is taken too
// early: a first key signs since the file was changed, and another may have
// signed until then.
func (k *Key) assume(first bool, changed time.Time) {
	k.Foreign = k.Created.IsZero() && k.Signing.IsZero() && k.SignedUntil.IsZero()
	if first && k.Signing.IsZero() {
		k.Signing = changed
	}
	if !first && k.Foreign {
		k.SignedUntil = changed
	}
}

func (k *Key) role(first bool) Role {
	switch {
	case first:
		return Signing
	case !k.Private:
		return Retired
	case k.signed():
		return Former
	}
	return Next
}

// signed tells whether tokens that the key signed may exist.
func (k *Key) signed() bool { return !k.Signing.IsZero() || !k.SignedUntil.IsZero() }

// latest is the time of the key's last step.
func (k *Key) latest() time.Time {
	last := k.Created
	for _, t := range []time.Time{k.Signing, k.SignedUntil, k.Retired} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// mark writes the time of a step into the key's JWK.
func (k *Key) mark(member string, at time.Time) error {
	if k.jwk == nil {
		return errPEM
	}
	return k.replace(k.jwk.With(splice.Member{Name: member, Value: strconv.AppendInt(nil, at.Unix(), 10)}))
}

// retire drops the private part.
func (k *Key) retire(at time.Time) error {
	if k.jwk == nil {
		return errPEM
	}
	if err := k.replace(k.jwk.Without(privateMembers...)); err != nil {
		return err
	}
	return k.mark(retiredMember, at)
}

func (k *Key) replace(text []byte) error {
	jwk, err := splice.Parse(text)
	if err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	k.jwk = jwk
	return nil
}

func readTime(jwk *splice.Object, member string) time.Time {
	seconds, err := strconv.ParseInt(string(jwk.Get(member)), 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
