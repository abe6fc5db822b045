package enrich

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// compose returns the claims to set in the verified token.
func (e *Enricher) compose(token *jws.Token, c correlation) ([]splice.Member, error) {
	changes := make([]splice.Member, 0, len(e.mappings)+2)
	for _, m := range e.mappings {
		if c.of(m.kind).err != nil {
			continue // unavailable, which ends the exchange below
		}
		value, err := m.value(c, token.Claims)
		if err != nil {
			return nil, err
		}
		changes = append(changes, splice.Member{Name: m.name, Value: value})
	}
	changes, err := e.reconcile(token.Claims, c, changes)
	if err != nil {
		return nil, err
	}
	if err := c.unavailable(); err != nil {
		return nil, &verdict{LookupUnavailable, err}
	}
	return changes, nil
}

// value returns the value of the claim.
func (m mapping) value(c correlation, claims jws.Claims) (jsontext.Value, error) {
	switch m.kind {
	case "":
		return m.fallback, nil
	case schema.Token:
		return m.claim(claims.Find(m.property))
	}
	text := c.of(m.kind).record[m.property]
	switch {
	case text == "" && m.fallback != nil:
		return m.fallback, nil
	case text == "":
		return nil, decided(MissingProperty, "claim %q needs %s.%s, which is missing", m.name, m.kind, m.property)
	}
	value, err := convert(m.typ, text)
	if err != nil {
		return nil, decided(MissingProperty, "claim %q needs %s.%s, which is %w", m.name, m.kind, m.property, err)
	}
	return value, nil
}

// claim returns the value of the claim that is given, a claim of the verified token.
// It keeps its bytes.
func (m mapping) claim(given jsontext.Value) (jsontext.Value, error) {
	switch {
	case blank(given) && m.fallback != nil:
		return m.fallback, nil
	case blank(given):
		return nil, decided(MissingProperty, "claim %q needs token.%s, which is missing", m.name, m.property)
	case !isOfType(m.typ, given):
		return nil, decided(MissingProperty, "claim %q needs token.%s, which is not of type %s", m.name, m.property, m.typ)
	}
	return given, nil
}

// reconcile drops the changes that the token already has. It ends the exchange if
// the provider and the records contradict each other.
func (e *Enricher) reconcile(claims jws.Claims, c correlation, changes []splice.Member) ([]splice.Member, error) {
	if err := agrees(claims, e.cfg.Organization.TokenClaim, c.organization.id); err != nil {
		return nil, err
	}
	if err := agrees(claims, e.cfg.User.TokenClaim, c.user.id); err != nil {
		return nil, err
	}
	kept := changes[:0]
	for _, change := range changes {
		if other := claims.Alike(change.Name); other != "" {
			return nil, decided(ClaimConflict, "the provider's claim %q may be taken for %q", other, change.Name)
		}
		present := claims.Get(change.Name)
		switch {
		case present == nil, present.Kind() == 'n': // a null is rewritten where it stands
			kept = append(kept, change)
		case !same(present, change.Value):
			return nil, decided(ClaimConflict, "the provider's claim %q has another value", change.Name)
		}
	}
	return kept, nil
}

// agrees ends the exchange if the claim at path isn't id and both exist.
func agrees(claims jws.Claims, path []string, id string) error {
	present := claims.At(path)
	if id == "" || present == nil || present.Kind() == 'n' {
		return nil
	}
	if text, ok := splice.Text(present); !ok || text != id {
		return decided(ClaimConflict, "the provider's claim %q names another than the record", path)
	}
	return nil
}

// gatewayClaims returns the claims that the gateway sets as an issuer, and the
// token's life in seconds if they shorten it, otherwise 0.
func (e *Enricher) gatewayClaims(claims jws.Claims, now time.Time) (changes []splice.Member, expiresIn int64, err error) {
	if e.issuer != nil {
		changes = append(changes, splice.Member{Name: "iss", Value: e.issuer})
	}
	maxTTL := int64(e.cfg.Signing.MaxTTL)
	if maxTTL == 0 {
		return changes, 0, nil
	}
	exp, err := claims.GetExpirationTime()
	if err != nil {
		return nil, 0, err
	}
	latest := now.Unix() + maxTTL
	if exp.Unix() <= latest {
		return changes, 0, nil
	}
	return append(changes, splice.Member{Name: "exp", Value: strconv.AppendInt(nil, latest, 10)}), maxTTL, nil
}
