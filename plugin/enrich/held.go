package enrich

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// Held is an enriched answer that may be given again. It must not be modified. Safe
// for concurrent use. Its JSON is the form in which gateways share it.
type Held struct {
	ClientID string // of the verified token
	KeyID    string // of the gateway's key that signed
	Signed   time.Time
	Expires  time.Time       // when the token's life ends, or the answer's expires_in if that is earlier
	Body     []byte          // as the first client got it
	Payload  []byte          // the provider's verified claims
	Added    []splice.Member // the claims that the gateway added

	claims     jws.Claims                  // Payload
	countdowns func() ([]countdown, error) // in Body; the first repeat reads it
}

// maxHeldSize is the size of an answer that may be held. Tokens are far smaller.
const maxHeldSize = 64 << 10

// entrySize is what an answer takes beside its texts, about.
const entrySize = 768

// Size is how many bytes of memory the answer takes, about.
func (h *Held) Size() int {
	size := entrySize + len(h.ClientID) + len(h.KeyID) + len(h.Body) + 2*len(h.Payload) // its claims have a copy
	return size + sizeOf(h.Added) + memberSize*(len(h.Added)+len(h.claims.Members()))
}

// memberSize is what a member of an object takes beside its text.
const memberSize = 56

// complete returns why the answer can't be held. counts are its countdowns.
func (h *Held) complete(counts []countdown, err error) error {
	if len(h.Body)+len(h.Payload)+sizeOf(h.Added) > maxHeldSize {
		return fmt.Errorf("the answer has more than %d bytes", maxHeldSize)
	}
	for _, c := range counts {
		h.Expires = c.earlier(h.Signed, h.Expires)
	}
	return err
}

// cloned returns claims without the larger texts of which their values are parts.
func cloned(claims []splice.Member) []splice.Member {
	own := slices.Clone(claims)
	for i := range own {
		own[i].Value = bytes.Clone(own[i].Value)
	}
	return own
}
