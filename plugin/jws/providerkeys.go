package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// ProviderKey is a public key that a provider signs with.
type ProviderKey struct {
	KeyID      string // "" if the provider gave none
	Algorithm  string // EdDSA, not Ed25519; "" if the provider doesn't restrict it
	Public     crypto.PublicKey
	Thumbprint string // RFC 7638, SHA-256, base64url

	// prepared is the engine's verifier for Public, nil if there is none.
	prepared func(hash crypto.Hash, digest, signature []byte) (bool, error)
}

// ProviderKeys are the keys of a provider.
type ProviderKeys []ProviderKey

// verify returns the key that signed c, which has header h. A key without a
// kid may have signed any token, and any key one without a kid.
func (keys ProviderKeys) verify(c *compact, h header) (ProviderKey, error) {
	tried := false
	for _, key := range keys {
		if !key.makes(h.alg) || (h.kid != "" && key.KeyID != "" && key.KeyID != h.kid) {
			continue
		}
		if key.verifies(h.alg, c.signed, c.signature) {
			return key, nil
		}
		tried = true
	}
	if tried {
		return ProviderKey{}, fmt.Errorf("%w: its signature is wrong", ErrUntrusted)
	}
	return ProviderKey{}, fmt.Errorf("%w: its key is not in the provider's set", ErrUntrusted)
}

// canonical returns the name by which alg is compared. Ed25519 is EdDSA with a key
// of that curve (RFC 9864, section 2.2), and no other curve is supported.
func canonical(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// pkcs1 are the algorithms of RSASSA-PKCS1-v1_5 (RFC 7518, section 3.3).
var pkcs1 = map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}

// verifies reports whether signature is the key's of signed.
func (key ProviderKey) verifies(alg, signed string, signature []byte) bool {
	if hash, ok := pkcs1[alg]; ok && key.prepared != nil {
		h := hash.New()
		h.Write([]byte(signed))
		if verified, err := key.prepared(hash, h.Sum(nil), signature); err == nil {
			return verified
		}
	}
	return signingMethod(alg).Verify(signed, signature, key.Public) == nil
}

// signingMethod returns the method alg. In PS256 and its like the salt is as
// long as the hash (RFC 7518, section 3.5); golang-jwt verifies any length.
func signingMethod(alg string) jwt.SigningMethod {
	method := jwt.GetSigningMethod(alg)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		return &jwt.SigningMethodRSAPSS{SigningMethodRSA: pss.SigningMethodRSA, Options: pss.Options}
	}
	return method
}

// makes reports whether the key makes signatures of alg.
func (key ProviderKey) makes(alg string) bool {
	return (key.Algorithm == "" || key.Algorithm == alg) && fits(alg, key.Public)
}

// fits reports whether signatures of alg are made with a key like public (RFC 7518
// section 3, RFC 8037 section 3.1).
func fits(alg string, public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS")
	case *ecdsa.PublicKey:
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}
		return bits[alg] == key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
