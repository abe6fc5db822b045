package schema

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// standings are the names that the table in docs/configuration.md decides.
var standings = map[standing][]string{
	reservedClaim: {
		"sub", "SUB", "ſub", "ıss", "CLİENT_ID", "jtı", "client_id", "clientId", "client-id", "tid", "scope", "scp", "typ", "nameid", "_claim_names", "_claim_sources", "_sd", "_sd_alg", "...",
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
		"https://schemas.microsoft.com/identity/claims/objectidentifier",
		"http://schemas.microsoft.com/identity/claims/tenantid",
		"http://schemas.microsoft.com/identity/claims/scope",
		"http://schemas.microsoft.com/claims/authnclassreference",
		"HTTP://SCHEMAS.microsoft.com/claims/authnmethodsreferences",
	},
	authorizationClaim: {
		"role", "roles", "role_ids", "user_group_id", "perms", "authorisations", "is_staff", "aal", "authorities",
		"https://aws.amazon.com/tags/principal_tags/Project", "https://aws.amazon.com/source_identity", "scopes", "permission", "group", "entitlements", "wids", "feature_flags", "featureFlags", "is_admin", "isAdmin", "admin",
		"realm_access", "resource_access", "authorization", "cognito:groups", "cognito:roles", "cognito:preferred_role", "urn:zitadel:iam:org:project:roles",
		"https://example.com/roles", "https://example.com/roles/", "https://example.com/claims#groups", "x-hasura-allowed-roles", "user_roles", "role1",
		"http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "http://schemas.xmlsoap.org/claims/Group",
		"http://schemas.microsoft.com/ws/2008/06/identity/claims/groupsid", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
		"https://hasura.io/jwt/claims", "https://aws.amazon.com/tags", "policy", "acl", "app_metadata", "allowed-origins",
		"preferred_username", "cognito:username", "upn", "unique_name", "user_name", "email_verified", "vc", "verified_claims",
	},
	freeClaim: {
		"org_code", "org_name", "org_id", "organization", "tenant", "tenant_id", "plan", "region", "user_id", "email", "name", "tags", "claims", "tier", "c_id", "sd",
		"country", "status", "customer_id", "https://example.com/tenantid", "https://example.com/claims", "kubernetes.io", "group_name", "refund_policy", "issued_via", "ё",
		"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
	},
}

// TestWhoMaySetAClaim: what names a reader may take for what.
func TestWhoMaySetAClaim(t *testing.T) {
	for want, names := range standings {
		for _, name := range names {
			_, plain := Parse(minimal(t, "claims", claim("name", name, "value", "x")))
			_, allowed := Parse(minimal(t, "claims", claim("name", name, "value", "x"), "allow_authorization_claims", true))
			if (plain == nil) != (want == freeClaim) || (allowed == nil) != (want != reservedClaim) {
				t.Errorf("standing of %s: got errors %v, and %v with allow_authorization_claims, want standing %d", name, plain, allowed, want)
			}
		}
	}
}

// TestHiddenCharactersInClaimNames: a reader that stops at a NUL or drops what it
// doesn't show would take such a name for a reserved one.
func TestHiddenCharactersInClaimNames(t *testing.T) {
	for _, name := range []string{"sub\x00", "sub\x00x", "s\u200bub", "plan\n", "s\u034fub", "sub\ufe0f", "\u3164sub"} {
		if _, err := Parse(minimal(t, "claims", claim("name", name, "value", "x"), "allow_authorization_claims", true)); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

// TestPageNamesTheClaims: docs/configuration.md has every name and word by which
// a claim is refused.
func TestPageNamesTheClaims(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Claims that can't be set")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range slices.Concat(reserved, decisive, decisiveNames, decisiveURIs, dotNet) {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("%s isn't on the page", name)
		}
	}
}

// TestSpellingsOfAuthorizationClaims: each spelling of a name by which APIs
// decide needs allow_authorization_claims, and none of an ordinary one does.
func TestSpellingsOfAuthorizationClaims(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	spell := func(words ...string) string {
		name := strings.Join(words, one("_", "-", ""))
		name = one("", "https://example.com/", "https://example.com/jwt/claims#", "urn:example:", "cognito:", "claims.", "x|") + name
		for i := range name { // in any case
			if random.IntN(3) == 0 {
				name = name[:i] + strings.ToUpper(name[i:i+1]) + name[i+1:]
			}
		}
		return name
	}
	plural := func(word string) string {
		if strings.HasSuffix(word, "s") {
			return word
		}
		if stem, ok := strings.CutSuffix(word, "y"); ok {
			return one(word, stem+"ies")
		}
		return one(word, word+"s")
	}
	for range 5_000 {
		if name := spell(one("user", "allowed", "is", "app", "default"), plural(one(decisive...))); standingOf(name) != authorizationClaim {
			t.Fatalf("%s may be set without allow_authorization_claims", name)
		}
		if name := spell(plural(one(decisive...))); standingOf(name) == freeClaim { // scope alone is reserved
			t.Fatalf("%s may be set without allow_authorization_claims", name)
		}
		if name := spell(one("org", "user", "customer"), one("id", "code", "name", "plan", "region", "tier", "email")); standingOf(name) != freeClaim && !strings.HasSuffix(letters(fold(name)), "username") {
			t.Fatalf("%s may not be set", name)
		}
	}
}

// TestCheckClaim: a claim that code computes follows the rules of one that the
// configuration names.
func TestCheckClaim(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   Config
		wrong string // "" if the claim is allowed
	}{
		{"org_code", Config{}, ""},
		{"größe", Config{}, ""},
		{strings.Repeat("n", MaxNameSize), Config{}, ""},
		{"", Config{}, "must be 1 to 256 bytes of UTF-8"},
		{strings.Repeat("n", MaxNameSize+1), Config{}, "must be 1 to 256 bytes of UTF-8"},
		{"a\xff", Config{}, "must be 1 to 256 bytes of UTF-8"},
		{"sub", Config{}, "reserved"},
		{"clientId", Config{AllowAuthorizationClaims: true}, "reserved"},
		{"tenant", Config{ClientIDClaim: []string{"Tenant"}}, "client_id_claim"},
		{"permissions", Config{}, "allow_authorization_claims"},
		{"permissions", Config{AllowAuthorizationClaims: true}, ""},
		{"su\u200bb", Config{}, "characters that some readers drop"},
		{"__proto__", Config{AllowAuthorizationClaims: true}, "reserved"},
	} {
		err := tt.cfg.CheckClaim(tt.name)
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("CheckClaim(%.20q) = %v, want %q", tt.name, err, tt.wrong)
		}
	}
}
