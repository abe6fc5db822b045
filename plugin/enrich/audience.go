package enrich

import (
	"strings"

	"m2m-token-enricher/plugin/jws"
)

// audiences is a set of audiences that are compared as URLs are by people:
// scheme and host in any case and one trailing slash more or less. Nothing
// else is folded, so that no other resource is taken for one of the set.
type audiences []audience

// audience is a URL in the parts that are compared differently; another text
// is all path.
type audience struct{ scheme, host, path string }

func newAudiences(list []string) audiences {
	var set audiences
	for _, a := range list {
		set = append(set, splitAudience(a))
	}
	return set
}

func (set audiences) has(text string) bool {
	a := splitAudience(text)
	for _, one := range set {
		if sameLetters(one.scheme, a.scheme) && sameLetters(one.host, a.host) && one.path == a.path {
			return true
		}
	}
	return false
}

func splitAudience(text string) audience {
	text = strings.TrimSuffix(text, "/")
	scheme, host, ok := strings.Cut(text, "://")
	if !ok {
		return audience{path: text}
	}
	a := audience{scheme: text[:len(scheme)+len("://")], host: host} // "://" tells an empty scheme from none
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		a.host, a.path = host[:i], host[i:]
	}
	return a
}

// sameLetters folds ASCII only: other letters that fold to ASCII ones, such as
// the Kelvin sign, name another host.
func sameLetters(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// check ends the exchange if the verified token is for the management API, whose
// audiences set has. rejectMixed refuses one that is for others, too.
func (set audiences) check(token *jws.Token, rejectMixed bool) error {
	verified, err := token.Claims.GetAudience()
	if err != nil {
		return err
	}
	management, others := 0, 0
	for _, a := range verified {
		if set.has(a) {
			management++
		} else {
			others++
		}
	}
	switch {
	case management == 0:
		return nil
	case others > 0 && rejectMixed:
		return endWith(MixedAudience, "the management API is among %d audiences", management+others)
	}
	return &end{outcome: ManagementAudience}
}
