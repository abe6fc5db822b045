// Package pkcs11 signs with keys that stay in a hardware token. A program that
// imports it can read a key ring at a PKCS #11 URI (RFC 7512) if it is built
// with the tag pkcs11, and reports how to build one otherwise.
package pkcs11

import (
	"fmt"

	"m2m-token-enricher/plugin/jws"
)

func init() { jws.RegisterRingSource(scheme, open) }

// open returns what reads the ring at a PKCS #11 URI.
func open(uri string) jws.RingSource {
	u, err := parseURI(uri)
	if err != nil {
		const name = "the PKCS #11 URI"
		return failing{name, fmt.Errorf("%s: %w", name, err)}
	}
	return openToken(u)
}

// failing is a source that can't be read.
type failing struct {
	name string
	err  error
}

func (f failing) String() string        { return f.name }
func (f failing) Read() jws.RingContent { return jws.RingContent{Err: f.err} }
