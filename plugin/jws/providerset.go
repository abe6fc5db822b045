package jws

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"m2m-token-enricher/schema"
)

// Bounds of a provider's set.
const (
	maxSetKeys = 50
	maxNamed   = 5 // skipped keys that an error names
)

// ProviderSet is a provider's JWK set.
type ProviderSet struct {
	Keys    ProviderKeys
	Skipped []SkippedKey
}

// SkippedKey is a key of a provider that verifies no token.
type SkippedKey struct {
	Place    int    // in the set, from 1
	KeyID    string // "" if it has none
	Reason   string
	Encrypts bool // it is made for encryption, so nothing is wrong with it
}

// String describes the key to people, on one line.
func (k SkippedKey) String() string {
	if k.KeyID == "" {
		return fmt.Sprintf("key %d without kid: %s", k.Place, k.Reason)
	}
	return fmt.Sprintf("key %d, kid %.100q: %s", k.Place, k.KeyID, k.Reason)
}

// Faulty returns those of skipped that aren't made for encryption.
func Faulty(skipped []SkippedKey) (list []SkippedKey) {
	for _, key := range skipped {
		if !key.Encrypts {
			list = append(list, key)
		}
	}
	return list
}

// Describe describes skipped keys, the first few of them by name.
func Describe(skipped []SkippedKey) string {
	var list []string
	for _, key := range skipped[:min(len(skipped), maxNamed)] {
		list = append(list, key.String())
	}
	if more := len(skipped) - maxNamed; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}

// ParseProviderKeys returns the keys of [ParseProviderSet].
func ParseProviderKeys(text []byte) (ProviderKeys, error) {
	set, err := ParseProviderSet(text)
	return set.Keys, err
}

// ParseProviderSet reads a provider's JWK set. It skips keys that don't verify
// signatures (RFC 7517, section 5). A set without a usable key is an error, and
// so is one with a private key.
func ParseProviderSet(text []byte) (ProviderSet, error) {
	var given struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(schema.WithoutMark(text), &given); err != nil {
		return ProviderSet{}, errors.New("not a JWK set")
	}
	if len(given.Keys) > maxSetKeys {
		return ProviderSet{}, fmt.Errorf("more than %d keys", maxSetKeys)
	}
	var set ProviderSet
	for i, raw := range given.Keys {
		members, err := readMembers(raw)
		if errors.Is(err, errPrivate) {
			return ProviderSet{}, fmt.Errorf("key %d is private", i+1)
		}
		var key ProviderKey
		if err == nil {
			key, err = members.providerKey()
		}
		if err != nil {
			kid, _ := members.text("kid")
			set.Skipped = append(set.Skipped, SkippedKey{i + 1, kid, err.Error(), errors.Is(err, errEncrypts)})
			continue
		}
		set.Keys = append(set.Keys, key)
	}
	if len(set.Keys) == 0 {
		return ProviderSet{}, unusable(set.Skipped)
	}
	return set, nil
}

// unusable is the error of a set whose keys were all skipped.
func unusable(skipped []SkippedKey) error {
	const problem = "no key that a signature can be verified with"
	if len(skipped) == 0 {
		return errors.New(problem + ": the set is empty")
	}
	return errors.New(problem + ": " + Describe(skipped))
}
