package libcrypto

import (
	"crypto"
	"crypto/rsa"
	"math/big"
)

// PublicKey is an RSA key to verify with. Safe for concurrent use.
type PublicKey struct{ pkey *pkey }

// RSAPublic returns key, copied into the library.
func (l *Library) RSAPublic(key *rsa.PublicKey) (*PublicKey, error) {
	pkey, err := l.importKey("RSA", selectPublic, params{}.number("n", key.N).number("e", big.NewInt(int64(key.E))))
	if err != nil {
		return nil, err
	}
	return &PublicKey{pkey}, nil
}

// Verify returns nil if signature is the key's of digest, made as opts say (see
// Key.Sign). The error is ErrSignature if it isn't; any other error means that
// the answer is unknown.
func (k *PublicKey) Verify(digest, signature []byte, opts crypto.SignerOpts) error {
	scheme, err := rsaScheme(opts)
	if err != nil {
		return err
	}
	return k.pkey.verify(digest, signature, scheme)
}
