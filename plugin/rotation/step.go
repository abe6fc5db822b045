package rotation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/visible"
)

// How long a step takes to reach everyone, beyond what the policy says.
const (
	// propagation is the time until every gateway uses the file: each reads it
	// within 10 s, the files of several nodes may change 30 s apart, plus a margin.
	propagation = time.Minute
	// leeway is for how long a consumer may accept a token that has expired.
	leeway = 5 * time.Minute
)

// Policy is what the times of the steps depend on.
type Policy struct {
	MaxAge    time.Duration // signing.jwks_max_age: how long consumers cache the published set
	TokenLife time.Duration // the longest life of a token
	Every     time.Duration // how long a key signs before Rotate adds the next one
}

// maxWait bounds the times of a policy. Sums of longer ones could overflow, and
// then nothing would be waited for.
const maxWait = 10 * 365 * 24 * time.Hour

// Check returns an error unless every time is between 0 and ten years.
func (p Policy) Check() error {
	var errs []error
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"max-age", p.MaxAge}, {"token-life", p.TokenLife}, {"every", p.Every}} {
		if t.value < 0 || t.value > maxWait {
			errs = append(errs, fmt.Errorf("%s: %s is not between 0s and %s", t.name, visible.Duration(t.value), visible.Duration(maxWait)))
		}
	}
	return errors.Join(errs...)
}

// DefaultPolicy fits the plugin's defaults and tokens of a day.
var DefaultPolicy = Policy{MaxAge: 5 * time.Minute, TokenLife: 24 * time.Hour, Every: 90 * 24 * time.Hour}

// TooEarlyError refuses a step whose time hasn't come.
type TooEarlyError struct {
	Why string
	At  time.Time     // when it has
	In  time.Duration // how long that is from now
}

func (e *TooEarlyError) Error() string {
	return fmt.Sprintf("too early: %s; it is due in %s, at %s", e.Why, visible.Duration(e.In.Round(time.Second)), e.At.UTC().Format(time.RFC3339))
}

func notBefore(at, now time.Time, why string) error {
	if now.Before(at) {
		return &TooEarlyError{why, at, at.Sub(now)}
	}
	return nil
}

// Generate returns the content of a new file with one key that signs from now on.
// kind is that of [jws.Generate].
func Generate(kind string, now time.Time) ([]byte, error) {
	text, err := jws.Generate(kind)
	if err != nil {
		return nil, err
	}
	s, err := Parse(text, now)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.Keys[0].mark(createdMember, now), s.Keys[0].mark(signingMember, now)); err != nil {
		return nil, err
	}
	return s.Text()
}

// Add appends a new key, which is published and doesn't sign. An empty kind means
// the signing key's.
func (s *Set) Add(kind string, now time.Time) (kid string, err error) {
	signing := map[string]string{"ES256": "ec", "EdDSA": "ed25519"}[s.Keys[0].Algorithm]
	k, err := newNext(cmp.Or(kind, signing, "rsa"), s.stepTime(now))
	if err != nil {
		return "", err
	}
	s.Keys = append(s.Keys, k)
	return k.ID, nil
}

func newNext(kind string, at time.Time) (Key, error) {
	text, err := jws.Generate(kind)
	if err != nil {
		return Key{}, err
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		return Key{}, err
	}
	_, jwks, err := parseSet(text)
	if err != nil {
		return Key{}, err
	}
	k := Key{RingKey: ring.Keys()[0], Role: Next, Created: at, jwk: jwks[0]}
	return k, k.mark(createdMember, at)
}

// Promote makes the key sign. Without force, it must be new and published for so
// long that every consumer can have fetched it.
func (s *Set) Promote(kid string, p Policy, force bool, now time.Time) error {
	i, err := s.find(kid)
	if err != nil {
		return err
	}
	k := s.Keys[i]
	switch {
	case i == 0:
		return errors.New("it signs already")
	case !k.Private:
		return errors.New("it has no private part, so it can't sign")
	case (k.signed() || !k.Retired.IsZero()) && !force:
		return errors.New("it may have signed before or was retired, and such a key must not sign again; add a new one, or use --force")
	case !force:
		if err := notBefore(k.publishedEverywhere(p), now, "consumers may not have fetched the key yet"); err != nil {
			return err
		}
	}
	at := s.stepTime(now)
	if err := errors.Join(s.Keys[0].mark(signedUntilMember, at), k.mark(signingMember, at)); err != nil {
		return err
	}
	s.Keys = slices.Insert(slices.Delete(s.Keys, i, i+1), 0, k)
	return nil
}

// publishedEverywhere is when every consumer has had time to fetch the key.
func (k *Key) publishedEverywhere(p Policy) time.Time { return k.Created.Add(p.MaxAge + propagation) }

// Retire drops the private part of a key that doesn't sign. It stays
// published.
func (s *Set) Retire(kid string, now time.Time) error {
	i, err := s.find(kid)
	switch {
	case err != nil:
		return err
	case i == 0:
		return errors.New("it signs; promote another key first")
	case !s.Keys[i].Private:
		return errors.New("it has no private part already")
	}
	return s.Keys[i].retire(s.stepTime(now))
}

// Remove removes a key that doesn't sign from the file. Without force, all tokens
// that it signed must have expired.
func (s *Set) Remove(kid string, p Policy, force bool, now time.Time) error {
	i, err := s.find(kid)
	switch {
	case err != nil:
		return err
	case i == 0:
		return errors.New("it signs; promote another key first")
	case s.Keys[i].signed() && !force:
		if err := notBefore(s.Keys[i].tokensExpired(p), now, "tokens that the key signed may not have expired"); err != nil {
			return err
		}
	}
	s.Keys = slices.Delete(s.Keys, i, i+1)
	return nil
}

// tokensExpired is when all tokens that the key signed have expired.
func (k *Key) tokensExpired(p Policy) time.Time {
	until := k.SignedUntil
	if until.IsZero() {
		until = k.latest()
	}
	return until.Add(propagation + p.TokenLife + leeway)
}
