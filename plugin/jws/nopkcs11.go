//go:build !pkcs11

package jws

import "fmt"

// readToken is for builds that can use PKCS #11, which needs cgo.
func readToken(u tokenURI) func() content {
	err := fmt.Errorf("%s: this build has no PKCS #11; one that has is made by: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/m2m-token-enricher", u)
	return func() content { return content{err: err} }
}
