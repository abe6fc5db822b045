package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/jws"
)

// reusable returns an error if the answer is for one request alone. claims are those
// of its token, and dropped the members that it lacks.
func (r tokenResponse) reusable(claims jws.Claims, dropped []string) error {
	if r.status != http.StatusOK {
		return fmt.Errorf("the provider answered status %d, not %d", r.status, http.StatusOK)
	}
	if bound := claims.Get("cnf"); !absent(bound) || claims.Alike("cnf") != "" {
		return errors.New("the token is bound to its client by the claim cnf")
	}
	if kind, _ := r.body.Text("token_type"); !strings.EqualFold(kind, "Bearer") || r.body.Alike("token_type") != "" {
		return errors.New("the answer's token_type isn't Bearer, so the token may be bound to its client")
	}
	if others, _ := r.others(false); len(others) > len(dropped) {
		return errors.New("the answer has another token beside the access token")
	}
	return nil
}

// ownSecret returns an error unless the request, which is r, has a secret by which the
// provider knows the client. A client certificate, or credentials that something
// behind the gateway adds, aren't in the request, so another client could repeat it.
// A client assertion is for one request (RFC 7523, section 3).
func (t tokenRequest) ownSecret(r Request) error {
	if QueryAsserts(r.Query) || slices.ContainsFunc(t.body, parameter.asserts) {
		return errors.New("the request has a client assertion, which is for one request")
	}
	_, password, err := basicCredentials(r.Authorization)
	if err != nil {
		return err
	}
	if strings.TrimSpace(password) == "" && !slices.ContainsFunc(t.body, parameter.isSecret) {
		return errors.New("the request has no client secret of its own, in the body or in HTTP Basic credentials")
	}
	return nil
}

// QueryAsserts reports whether a raw query has a part of a client assertion, or may
// have one because it can't be read. A partial exchange has no query, so the access
// phase must ask this: the answer to such a request may not be given again.
func QueryAsserts(query string) bool {
	parameters, err := readQuery(query)
	return err != nil || slices.ContainsFunc(parameters, parameter.asserts)
}

// asserts reports whether p belongs to a client assertion.
func (p parameter) asserts() bool {
	return p.name == "client_assertion" || p.name == "client_assertion_type"
}

// isSecret reports whether p is a client's secret, and not blank.
func (p parameter) isSecret() bool {
	return p.name == "client_secret" && strings.TrimSpace(p.value) != ""
}
