package enrich

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

const jwtAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2

// client is one way in which a request names its client: either text may be
// meant.
type client struct{ where, id, decoded string }

func (c client) is(id string) bool { return sameClient(c.id, id) || sameClient(c.decoded, id) }

// differs describes how c, which isn't id, differs from it. It shows no part of c,
// which may be a secret in the wrong place.
func (c client) differs(id string) string {
	switch {
	case strings.EqualFold(c.id, id):
		return "only the letter case differs"
	case strings.TrimSpace(c.decoded) == id:
		return "it has white space at an end"
	}
	return "it is another one"
}

// sameClient reports whether two client ids are the same. A GUID (RFC 9562,
// section 4) is the same in any letter case.
func sameClient(a, b string) bool {
	return a == b || strings.EqualFold(a, b) && isGUID(a) && isGUID(b)
}

func isGUID(id string) bool {
	if len(id) != len("00000000-0000-0000-0000-000000000000") {
		return false
	}
	for i, c := range []byte(id) {
		switch {
		case i == 8, i == 13, i == 18, i == 23:
			if c != '-' {
				return false
			}
		case !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)):
			return false
		}
	}
	return true
}

// namedClients returns every client that the request names: in HTTP Basic
// credentials (RFC 6749, section 2.3.1), in the query, in the body, and as the
// subject of a JWT assertion. What has no value names nobody (RFC 6749, section
// 3.2).
func namedClients(authorization string, query, body parameters) ([]client, error) {
	var clients []client
	add := func(where, id, decoded string) {
		if id != "" {
			clients = append(clients, client{where, id, decoded})
		}
	}
	id, decoded, err := basicUser(authorization)
	if err != nil {
		return nil, err
	}
	add("the user of the Basic credentials", id, decoded)
	for id := range query.all("client_id") {
		add("the client_id in the query", id, id)
	}
	for id := range body.all("client_id") {
		add("the client_id in the body", id, id)
	}
	for assertion := range slices.Concat(query, body).assertions() {
		id, err := assertedClient(assertion)
		if err != nil {
			return nil, fmt.Errorf("the client assertion can't be read: %w", err)
		}
		add("the sub of the client assertion", id, id)
	}
	return clients, nil
}

// basicUser returns the user of HTTP Basic credentials, "" if there is none. The
// standard says form-encoded, but many clients don't encode and many providers
// don't decode, so both readings count.
func basicUser(authorization string) (user, decoded string, err error) {
	if user, _, err = basicCredentials(authorization); err != nil {
		return "", "", err
	}
	if decoded, err = url.QueryUnescape(user); err != nil {
		decoded = user
	}
	return user, decoded, nil
}

// basicCredentials returns user and password of HTTP Basic credentials as they are
// written, "" if there are none.
func basicCredentials(authorization string) (user, password string, err error) {
	scheme := "Basic"
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return "", "", nil
	}
	credentials := strings.TrimSpace(authorization[len(scheme):]) // whatever a reader takes for the space
	text, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		text, err = base64.RawStdEncoding.DecodeString(credentials)
	}
	if err != nil {
		return "", "", errors.New("the Basic credentials can't be decoded")
	}
	user, password, _ = strings.Cut(string(text), ":")
	return user, password, nil
}

// assertedClient returns the client that an assertion names: its sub, if iss is
// the same. Another iss speaks for a workload, which isn't the client (RFC 7523,
// section 3). An encrypted assertion names nobody to the plugin.
func assertedClient(assertion string) (string, error) {
	if strings.Count(assertion, ".") == 4 { // JWE (RFC 7516, section 7.1)
		return "", nil
	}
	claims, err := jws.UnverifiedClaims(assertion)
	if err != nil {
		return "", err
	}
	iss, _ := claims.Text("iss")
	sub, _ := claims.Text("sub")
	if !sameClient(iss, sub) {
		return "", nil
	}
	return sub, nil
}

// clientClaims are the claims by which providers name the client of a token.
var clientClaims = []string{"azp", "client_id", "appid", "cid"}

// tokenClient returns the client that the verified token names, and the claim. The
// claim is the one at path or, without a path, each of clientClaims that the token
// has. They must agree.
func tokenClient(claims jws.Claims, path []string) (id, claim string, err error) {
	if len(path) > 0 {
		claim = strings.Join(path, ".")
		id, ok := claims.TextAt(path)
		return id, claim, checkClaim(claim, id, ok)
	}
	for _, name := range clientClaims {
		if value := claims.Get(name); value == nil || value.Kind() == 'n' {
			continue
		}
		other, ok := claims.Text(name)
		if err := checkClaim(name, other, ok); err != nil {
			return "", name, err
		}
		switch {
		case claim == "":
			id, claim = other, name
		case !sameClient(id, other):
			return "", name, fmt.Errorf("the claims %q and %q name different clients; set client_id_claim to the right one", claim, name)
		}
	}
	if claim == "" {
		return "", "", errors.New("no claim azp, client_id, appid or cid names the client; set client_id_claim to the one that does")
	}
	return id, claim, nil
}

// namesClient reports whether a claim that tokenClient reads is there.
func namesClient(claims jws.Claims, path []string) bool {
	if len(path) > 0 {
		return !blank(claims.At(path))
	}
	return slices.ContainsFunc(clientClaims, func(name string) bool { return !blank(claims.Get(name)) })
}

// checkClaim returns an error unless claim is a string that is a client id.
func checkClaim(claim, id string, isText bool) error {
	switch {
	case !isText:
		return fmt.Errorf("the claim %q is missing or not a string, and should name the client", claim)
	case !schema.ValidID(id):
		return fmt.Errorf("the claim %q is not a client id: %s", claim, schema.IDForm)
	}
	return nil
}
