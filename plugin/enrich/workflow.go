package enrich

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Event is what a workflow learns of an exchange beside its records.
type Event struct {
	Audience, Scope []string // of the verified token; never nil
	IP              string   // of the client, as Kong knows it; "" if unknown
	Domain          string   // the provider's issuer without a slash at its end
	ClientID        string   // of the verified token
}

// Related returns the record of kind that belongs to the exchange's application:
// its own, its organization's or its user's, and the identifier. id is "" if the
// application names none. Records are looked up when they are first asked for. An
// error has ended the exchange, even if the workflow continues. Not for concurrent
// use, and only until Run returns; the record must not be modified.
type Related func(kind schema.Kind) (id string, record schema.Record, err error)

// Workflow computes claims in code. Safe for concurrent use.
type Workflow interface {
	// Run returns the claims that the workflow sets beside given, which the
	// configuration maps, in the order in which they were first set, and what it
	// printed. An error is the workflow's failure. It waits no longer than ctx.
	Run(ctx context.Context, event Event, given []splice.Member, related Related) (claims []splice.Member, printed []string, err error)

	// Policy is schema.PolicyStop or schema.PolicyContinue if the workflow names its
	// own failure policy, otherwise "".
	Policy() string
}

// Bounds of what a workflow prints for one exchange.
const (
	MaxPrinted     = 50   // lines
	MaxPrintedLine = 1000 // bytes
)

// accept returns the computed claims that may be added. One that is mapped to the
// same value is there already.
func accept(cfg *schema.Config, computed, mapped []splice.Member) (accepted []splice.Member, err error) {
	if len(computed) > schema.MaxClaims {
		return nil, fmt.Errorf("it sets %d claims, more than %d", len(computed), schema.MaxClaims)
	}
	for _, claim := range computed {
		if err := cfg.CheckClaim(claim.Name); err != nil {
			return nil, fmt.Errorf("it sets a claim: %w", err)
		}
		other := foldedIn(slices.Concat(mapped, accepted), claim.Name)
		switch {
		case !claim.Value.IsValid():
			return nil, fmt.Errorf("it sets the claim %q to a value that isn't JSON", claim.Name)
		case other == nil:
			accepted = append(accepted, claim)
		case other.Name != claim.Name:
			return nil, fmt.Errorf("it sets the claim %q, which may be taken for %q", claim.Name, other.Name)
		case !same(other.Value, claim.Value):
			return nil, fmt.Errorf("it sets the claim %q, which has another value in config.claims", claim.Name)
		}
	}
	return accepted, nil
}

// foldedIn returns the claim called name in any letter case, nil if there is none.
func foldedIn(claims []splice.Member, name string) *splice.Member {
	i := slices.IndexFunc(claims, func(c splice.Member) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return nil
	}
	return &claims[i]
}

// sizeOf is the size of claims in a payload at least.
func sizeOf(claims []splice.Member) (n int) {
	for _, c := range claims {
		n += len(c.Name) + len(c.Value)
	}
	return n
}

// clip returns the beginning of what was printed.
func clip(printed []string) []string {
	printed = slices.Clone(printed[:min(len(printed), MaxPrinted)])
	for i, line := range printed {
		printed[i] = line[:min(len(line), MaxPrintedLine)]
	}
	return printed
}

// eventOf describes the exchange of a verified token.
func eventOf(ip, issuer string, claims jws.Claims, clientID string) Event {
	audience, _ := claims.GetAudience() // it was read before
	return Event{
		Audience: append([]string{}, audience...), Scope: scopeOf(claims), IP: ip,
		Domain: strings.TrimSuffix(issuer, "/"), ClientID: clientID,
	}
}

// scopeOf returns the scope of a token: a list, or separated by spaces (RFC 6749,
// section 3.3; RFC 9068, section 2.2.3).
func scopeOf(claims jws.Claims) []string {
	for _, name := range []string{"scope", "scp"} {
		if text, ok := claims.Text(name); ok && text != "" {
			return strings.Fields(text)
		}
		if list, ok := splice.Texts(claims.Get(name)); ok {
			return list
		}
	}
	return []string{}
}
