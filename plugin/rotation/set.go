package rotation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Set is the content of a key file. A step changes it in memory, and [Update]
// writes it.
type Set struct {
	Keys []Key // the first signs
	ring *jws.Ring
	json *splice.Object // nil in a PEM file
}

// Parse reads the content of a file that last changed at changed.
func Parse(text []byte, changed time.Time) (*Set, error) {
	ring, err := jws.ParseRing(text)
	if err != nil {
		return nil, err
	}
	s := &Set{ring: ring}
	var jwks []*splice.Object
	if !jws.IsPEM(text) {
		if s.json, jwks, err = parseSet(schema.WithoutMark(text)); err != nil {
			return nil, err
		}
	}
	for i, key := range ring.Keys() {
		var jwk *splice.Object
		if s.json != nil {
			jwk = jwks[i]
		}
		k, err := newKey(key, jwk, i == 0, changed)
		if err != nil {
			return nil, err
		}
		s.Keys = append(s.Keys, k)
	}
	return s, nil
}

func parseSet(text []byte) (*splice.Object, []*splice.Object, error) {
	set, err := splice.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	elements, err := splice.Elements(set.Get("keys"))
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	jwks := make([]*splice.Object, len(elements))
	for i, element := range elements {
		if jwks[i], err = splice.Parse(element); err != nil {
			return nil, nil, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return set, jwks, nil
}

// Text returns the content of the file. It is an error if gateways would not
// accept it.
func (s *Set) Text() ([]byte, error) {
	if s.PEM() {
		return nil, errPEM
	}
	list := []byte("[")
	for i, k := range s.Keys {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, k.jwk.Bytes()...)
	}
	text := s.json.With(splice.Member{Name: "keys", Value: append(list, ']')})
	pretty := jsontext.Value(text)
	if err := pretty.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	if _, err := jws.ParseRing(pretty); err != nil {
		return nil, fmt.Errorf("gateways would refuse the result: %w", err)
	}
	return append(pretty, '\n'), nil
}

// PEM reports whether the file is PEM, which has no place for the times of steps,
// so none can be taken.
func (s *Set) PEM() bool { return s.json == nil }

// Public returns the JWK set that gateways publish.
func (s *Set) Public() []byte { return s.ring.PublicSet() }

// find returns the place of the key called kid.
func (s *Set) find(kid string) (int, error) {
	i := slices.IndexFunc(s.Keys, func(k Key) bool { return k.ID == kid })
	if i < 0 {
		return 0, fmt.Errorf("no key %s in the file; see keys list", kid)
	}
	return i, nil
}

// stepTime returns the time to write down for a step that is taken now. If the clock
// stepped back, it is that of the latest step.
func (s *Set) stepTime(now time.Time) time.Time {
	for _, k := range s.Keys {
		if last := k.latest(); !k.Foreign && last.After(now) {
			now = last
		}
	}
	return now
}

var errPEM = errors.New("a PEM file has no place for the times of the steps; keep the keys in a JWK set (keys generate makes one)")
