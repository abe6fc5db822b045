package schema

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// standing is who may set a claim.
type standing int

const (
	freeClaim          standing = iota // any configuration
	authorizationClaim                 // only one that allows authorization claims
	reservedClaim                      // nobody but the provider
)

// reserved are the claims that nobody but the provider may set: they say who
// the caller is, for whom the token is and how it was obtained (RFC 7519
// section 4.1, RFC 8693, RFC 9068, OpenID Connect Core, and what Entra, Okta,
// Auth0 and Keycloak use alike), or put claims in by reference, which no list
// sees (OpenID Connect Core section 5.6.2, RFC 9901; an object in JavaScript that
// claims are assigned to takes those it lacks from __proto__).
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "client_id", "cid", "appid", "sid", "act", "may_act", "cnf",
	"gty", "scp", "scope", "authorization_details", "idtyp", "oid", "tid", "token_use", "auth_time", "acr", "amr",
	"nonce", "at_hash", "sub_id", "events", "nameid", "actort", "typ", "azpacr", "appidacr",
	"_claim_names", "_claim_sources", "_sd", "_sd_alg", "...", "__proto__",
}

// decisive are the words by which APIs decide what a caller may do. A claim
// whose name ends in one of them is an authorization claim, such as user_roles.
var decisive = []string{
	"role", "group", "permission", "scope", "authority", "authorization", "entitlement", "privilege", "right", "grant",
	"access", "capability", "admin", "administrator", "superuser", "staff", "memberof", "flag", "verified", "username",
	"perm", "authorisation",
}

// decisiveNames are further claims of that kind, whose names end in words that
// are harmless elsewhere.
var decisiveNames = []string{
	"wid", "acl", "aal", "policy", // Entra's directory roles; EMQX; MinIO
	"upn", "unique_name", "user_name", // the caller's name to MicroProfile JWT, ASP.NET Core and UAA, as username is
	"app_metadata", "allowed-origin", // Supabase; Keycloak's adapters
	"vc", "vp", "verified_claim", // statements about the subject that a verifier decides by
}

// decisiveURIs are claims of that kind whose URIs don't show it.
// The claims below an AWS URI are session tags (IAM, "Passing session tags").
var decisiveURIs = []string{"https://hasura.io/jwt/claims", "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"}

// dotNet is how the URIs begin by which ASP.NET Core knows claims, and dotNetNames
// the claims in a token that it calls by other names there.
var dotNet = []string{"http://schemas.microsoft.com/", "http://schemas.xmlsoap.org/"}

var dotNetNames = map[string]string{
	"nameidentifier": "sub", "objectidentifier": "oid", "tenantid": "tid", "actor": "act", "name": "unique_name",
	"authnclassreference": "acr", "authnmethodsreferences": "amr", "authenticationmethod": "amr",
	"authenticationinstant": "auth_time", "expiration": "exp",
	"primarysid": "sub", "groupsid": "group", "primarygroupsid": "group", "windowsaccountname": "upn",
}

// standingOf returns who may set the claim called name. A name counts as the
// one that its readers may take it for: in any letter case, with or without
// the separators within a word, and by the last part of a URI or a path where
// only the meaning of that part matters.
func standingOf(name string) standing {
	folded := fold(name)
	for _, start := range dotNet {
		if strings.HasPrefix(strings.Replace(folded, "https:", "http:", 1), start) {
			last := lastPart(folded)
			if short, ok := dotNetNames[last]; ok {
				last = short
			}
			return standingOf(last)
		}
	}
	last := meaning(letters(lastPart(folded)))
	switch {
	case slices.ContainsFunc(reserved, func(r string) bool { return alike(folded, r) }):
		return reservedClaim
	case slices.ContainsFunc(decisiveURIs, func(uri string) bool { return folded == uri || strings.HasPrefix(folded, uri+"/") }),
		slices.ContainsFunc(decisive, func(word string) bool { return strings.HasSuffix(last, word) }),
		slices.ContainsFunc(decisiveNames, func(n string) bool { return last == letters(n) }):
		return authorizationClaim
	}
	return freeClaim
}

// alike reports whether a reader that binds names of any style may take name
// for the snake_case word: client_id is client-id and clientId, too.
func alike(name, word string) bool {
	inner := strings.Trim(word, "_")
	lead := strings.TrimSuffix(word, inner)
	return name == word || name == lead+strings.ReplaceAll(inner, "_", "-") || name == lead+strings.ReplaceAll(inner, "_", "")
}

// fold returns the name in lower case. A letter that has another one's upper
// case, such as ſ, becomes that one, as in [strings.EqualFold].
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		if least == 'ı' || least == 'İ' {
			return 'i' // as Java's equalsIgnoreCase has it
		}
		return unicode.ToLower(least)
	}, name)
}

// ignorable reports whether r counts as a letter or a mark, but isn't shown.
func ignorable(r rune) bool {
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// parted is what separates the parts of a URI, a URN or a path.
var parted = regexp.MustCompile(`[^\pL\pN\pM_-]+`)

// lastPart returns the last part of a name that isn't empty.
func lastPart(name string) string {
	parts := slices.DeleteFunc(parted.Split(name, -1), func(part string) bool { return part == "" })
	if len(parts) == 0 {
		return name
	}
	return parts[len(parts)-1]
}

// letters returns the letters of text alone.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, text)
}

// meaning returns the noun that the letters of a name end in, without what says
// only in which form its values come: role_ids are roles.
func meaning(name string) string {
	name = singular(name)
	for _, form := range []string{"id", "list"} {
		if stem := strings.TrimSuffix(name, form); stem != "" && slices.ContainsFunc(decisive, func(word string) bool { return strings.HasSuffix(singular(stem), word) }) {
			return singular(stem)
		}
	}
	return name
}

// singular returns an English noun without the end of its plural.
func singular(noun string) string {
	if stem, ok := strings.CutSuffix(noun, "ies"); ok {
		return stem + "y"
	}
	if strings.HasSuffix(noun, "ss") {
		return noun
	}
	return strings.TrimSuffix(noun, "s")
}
