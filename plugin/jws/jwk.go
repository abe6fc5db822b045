package jws

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Why a JWK isn't a key of the provider.
var (
	errPrivate  = errors.New("private")
	errEncrypts = errors.New("made for encryption")
)

// deciding are the members of a JWK that decide whether it verifies a signature
// (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2). No other member
// does: a certificate, its thumbprint or an extension never disables a key.
var deciding = []string{"kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"}

// PrivateMembers are those that only a private key has (RFC 7518 sections 6.2.2
// and 6.3.2, RFC 8037 section 2).
var PrivateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// members are the deciding ones of a JWK, without those that are null.
type members map[string]jsontext.Value

// readMembers reads a JWK. The error is errPrivate if it has a private member.
// With another one, the members have what was read.
func readMembers(raw []byte) (members, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if first, err := dec.ReadToken(); err != nil || first.Kind() != '{' {
		return nil, errors.New("not a JSON object")
	}
	m := members{}
	var twice error
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return m, errors.New("not a JSON object")
		}
		text := name.String()
		value, err := dec.ReadValue()
		switch {
		case err != nil:
			return m, errors.New("not a JSON object")
		case value.Kind() == 'n':
		case slices.Contains(PrivateMembers, text):
			return m, errPrivate
		case slices.Contains(deciding, text):
			if m[text] != nil {
				twice = fmt.Errorf("%s is there twice", text)
			}
			m[text] = value.Clone()
		}
	}
	return m, twice
}

// text returns the text of a member, and reports whether it is a string. A
// missing one is "".
func (m members) text(name string) (string, bool) {
	if m[name] == nil {
		return "", true
	}
	return splice.Text(m[name])
}

// providerKey returns the key, or why no signature can be verified with it.
func (m members) providerKey() (ProviderKey, error) {
	for _, name := range []string{"kty", "kid", "use", "alg", "crv"} {
		if _, ok := m.text(name); !ok {
			return ProviderKey{}, fmt.Errorf("%s is not a string", name)
		}
	}
	if err := m.forSignatures(); err != nil {
		return ProviderKey{}, err
	}
	kid, _ := m.text("kid")
	alg, _ := m.text("alg")
	public, err := m.public()
	if err != nil {
		return ProviderKey{}, err
	}
	print, err := thumbprint(public)
	if err != nil {
		return ProviderKey{}, err
	}
	key := ProviderKey{KeyID: kid, Algorithm: canonical(alg), Public: public.Key, Thumbprint: print, prepared: prepared(public.Key)}
	if alg != "" && !fits(key.Algorithm, key.Public) {
		return ProviderKey{}, fmt.Errorf("its alg %q doesn't fit its kty or crv", alg)
	}
	return key, nil
}

// forSignatures returns an error if the members use, key_ops and alg say that the
// key isn't for signatures, or is for unknown ones.
func (m members) forSignatures() error {
	use, _ := m.text("use")
	alg, _ := m.text("alg")
	operations, readable := splice.Texts(m["key_ops"])
	switch {
	case use == "enc":
		return fmt.Errorf("its use is enc: %w", errEncrypts)
	case use != "" && use != "sig":
		return fmt.Errorf("its use is %.40q, not sig", use)
	case encrypts(alg):
		return fmt.Errorf("its alg is %.40q: %w", alg, errEncrypts)
	case alg != "" && !slices.Contains(schema.Algorithms, alg):
		return fmt.Errorf("its alg %.40q is not supported", alg)
	case m["key_ops"] == nil, slices.Contains(operations, "verify"):
		return nil
	case !readable:
		return errors.New("key_ops is not an array of strings")
	case slices.ContainsFunc(operations, func(o string) bool { return slices.Contains(encrypting, o) }):
		return fmt.Errorf("its key_ops has no verify: %w", errEncrypts)
	}
	return errors.New("its key_ops has no verify")
}

// encrypting are the operations of encryption keys (RFC 7517, section 4.3).
var encrypting = []string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}

// encrypts reports whether alg encrypts keys (RFC 7518, section 4.1).
func encrypts(alg string) bool {
	return alg == "RSA1_5" || alg == "dir" || strings.HasPrefix(alg, "RSA-OAEP") || strings.HasPrefix(alg, "ECDH-ES") ||
		strings.HasSuffix(alg, "KW") || strings.HasPrefix(alg, "PBES2-")
}
