// Package rotation replaces the keys of a key file step by step: a key is added,
// signs, is succeeded by another, is retired, and is removed. The file is the whole
// state: the times of the steps are members of its JWKs.
package rotation

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// Members of a JWK that hold the time of a step, in Unix seconds.
const (
	createdMember     = "m2m_created"      // it was added to the file
	signingMember     = "m2m_signing"      // it started to sign
	signedUntilMember = "m2m_signed_until" // it stopped signing
	retiredMember     = "m2m_retired"      // its private part was dropped
)

// Role is what a key is for now.
type Role string

// The roles of a key, in the order of its life.
const (
	Next    Role = "next"    // published, has never signed
	Signing Role = "signing" // the first of the file
	Former  Role = "former"  // signed before, and still could
	Retired Role = "retired" // only published: it can't or must not sign any more
)

// Key is one key of a file.
type Key struct {
	jws.RingKey
	Role Role
	// When its steps were taken. Zero means not yet, or unknown.
	Created, Signing, SignedUntil, Retired time.Time
	// Foreign says that the file has no times of the key: another tool added it.
	Foreign bool

	jwk *splice.Object // nil in a PEM file
}

// newKey reads the times of key from its JWK. changed is when the file last
// changed.
func newKey(key jws.RingKey, jwk *splice.Object, first bool, changed time.Time) (Key, error) {
	k := Key{RingKey: key, jwk: jwk}
	if err := k.readTimes(); err != nil {
		return k, err
	}
	k.Foreign = k.Created.IsZero() && k.Signing.IsZero() && k.SignedUntil.IsZero()
	err := k.completeTimes(first, changed)
	k.Role = k.role(first)
	return k, err
}

func (k *Key) readTimes() error {
	if k.jwk == nil {
		return nil
	}
	for member, at := range map[string]*time.Time{
		createdMember: &k.Created, signingMember: &k.Signing, signedUntilMember: &k.SignedUntil, retiredMember: &k.Retired,
	} {
		var err error
		if *at, err = readTime(k.jwk, member); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	return nil
}

// completeTimes fills in times that the file lacks, or a step could be taken too
// early. The first key signs since the file last changed. A key that was moved from
// the first place by hand signed until then, and so may have a foreign one. The
// next step changes the file's time, so it writes these times down, except those
// of a foreign key, which stay an assumption.
func (k *Key) completeTimes(first bool, changed time.Time) error {
	switch {
	case first && k.Signing.IsZero():
		k.Signing = changed
		return k.mark(signingMember, k.Signing)
	case !first && k.Foreign:
		k.SignedUntil = changed
	case !first && k.SignedUntil.Before(k.Signing):
		if k.SignedUntil = changed; changed.Before(k.Signing) {
			k.SignedUntil = k.Signing
		}
		return k.mark(signedUntilMember, k.SignedUntil)
	}
	return nil
}

func (k *Key) role(first bool) Role {
	switch {
	case first:
		return Signing
	case !k.Private, !k.Retired.IsZero() && !k.signed():
		return Retired
	case k.signed():
		return Former
	}
	return Next
}

// signed reports whether tokens that the key signed may exist.
func (k *Key) signed() bool { return !k.Signing.IsZero() || !k.SignedUntil.IsZero() }

// latest is the time of the key's last step.
func (k *Key) latest() time.Time {
	return slices.MaxFunc([]time.Time{k.Created, k.Signing, k.SignedUntil, k.Retired}, time.Time.Compare)
}

// mark writes the time of a step into the key's JWK. A key of a PEM file has none,
// and [Set.Text] refuses the step.
func (k *Key) mark(member string, at time.Time) error {
	if k.jwk == nil {
		return nil
	}
	return k.replace(k.jwk.With(splice.Member{Name: member, Value: strconv.AppendInt(nil, at.Unix(), 10)}))
}

// retire drops the private part.
func (k *Key) retire(at time.Time) error {
	if k.jwk == nil {
		return nil
	}
	if err := k.replace(k.jwk.Cut(jws.PrivateMembers...)); err != nil {
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

// maxTime is the end of the year 9999 in Unix seconds.
const maxTime = 253402300799

// readTime returns the zero time if there is no such member. Any value except a
// time is an error, because "never signed" would be the wrong guess.
func readTime(jwk *splice.Object, member string) (time.Time, error) {
	value := jwk.Get(member)
	if value == nil {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || seconds <= 0 || seconds > maxTime {
		return time.Time{}, fmt.Errorf("%s must be a whole number of Unix seconds; correct it by hand", member)
	}
	return time.Unix(seconds, 0), nil
}
