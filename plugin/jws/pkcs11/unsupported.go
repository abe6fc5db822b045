//go:build !pkcs11

package pkcs11

import (
	"fmt"

	"m2m-token-enricher/plugin/jws"
)

// openToken stands in for PKCS #11, which needs cgo.
func openToken(u tokenURI) jws.RingSource {
	return failing{u.String(), fmt.Errorf("%s: this build has no PKCS #11; one that has is made by: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/m2m-token-enricher", u)}
}
