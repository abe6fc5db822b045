package enrich

import (
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// profile is what enriched tokens follow, as signing.profile names it.
type profile string

// typeOf returns the typ of the enriched token (RFC 9068, section 2.1).
func (p profile) typeOf(token *jws.Token) jsontext.Value {
	if p == schema.ProfileRFC9068 {
		return jsontext.Value(`"at+jwt"`)
	}
	return token.Type
}

// claims returns the claims that the profile needs and the verified token
// lacks: client_id, and sub, which names the client if no user took part (RFC 9068,
// section 2.2). No value of the provider is overwritten. A client_id of another
// client ends the exchange.
func (p profile) claims(claims jws.Claims, clientID string) (changes []splice.Member, err error) {
	if p != schema.ProfileRFC9068 {
		return nil, nil
	}
	value, err := splice.Quote(clientID)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"client_id", "sub"} {
		if other := claims.Alike(name); other != "" {
			return nil, decided(ClaimConflict, "the provider's claim %q may be taken for %q", other, name)
		}
		present := claims.Get(name)
		if present == nil || present.Kind() == 'n' {
			changes = append(changes, splice.Member{Name: name, Value: value})
			continue
		}
		if text, ok := splice.Text(present); name == "client_id" && (!ok || !sameClient(text, clientID)) {
			return nil, decided(ClaimConflict, "the provider's claim %q names another client", name)
		}
	}
	return changes, nil
}
