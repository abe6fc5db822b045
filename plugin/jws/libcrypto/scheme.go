package libcrypto

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"
)

// scheme is how a signature is made: the padding and the digest.
type scheme struct {
	digestSize int
	array      unsafe.Pointer // OSSL_PARAM, which is only read
}

// digests are those of a token's signatures (RFC 7518, section 3).
var digests = map[crypto.Hash]string{crypto.SHA256: "SHA2-256", crypto.SHA384: "SHA2-384", crypto.SHA512: "SHA2-512"}

var (
	pkcs1 = schemes(nil, "pkcs1")
	// pss has a salt as long as the digest (RFC 7518, section 3.5).
	pss  = schemes(params{}.text("saltlen", "digest"), "pss")
	bare = schemes(nil, "")
)

// forever pins what libcrypto reads while the program runs.
var forever runtime.Pinner

// schemes returns the scheme of each digest.
func schemes(common params, padding string) map[crypto.Hash]*scheme {
	all := make(map[crypto.Hash]*scheme, len(digests))
	for hash, name := range digests {
		values := slices.Clone(common).text("digest", name)
		if padding != "" {
			values = values.text("pad-mode", padding)
		}
		all[hash] = &scheme{hash.Size(), values.pin(&forever)}
	}
	return all
}

// rsaScheme returns the scheme that opts name to crypto/rsa.
func rsaScheme(opts crypto.SignerOpts) (*scheme, error) {
	options, ok := opts.(*rsa.PSSOptions)
	if !ok {
		return pick(pkcs1, opts)
	}
	scheme, err := pick(pss, opts)
	if err == nil && options.SaltLength != rsa.PSSSaltLengthEqualsHash && options.SaltLength != scheme.digestSize {
		err = errors.New("PSS with a salt that isn't as long as the digest is not supported")
	}
	return scheme, err
}

func pick(all map[crypto.Hash]*scheme, opts crypto.SignerOpts) (*scheme, error) {
	scheme := all[opts.HashFunc()]
	if scheme == nil {
		return nil, fmt.Errorf("digest %s is not supported", opts.HashFunc())
	}
	return scheme, nil
}
