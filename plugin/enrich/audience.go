package enrich

import (
	"slices"
	"strings"

	"m2m-token-enricher/plugin/jws"
)

// audiences is a set of audiences, compared as people compare URLs: scheme and
// host in any case, with or without one trailing slash. Nothing else is folded,
// so no other resource is taken for one of the set.
type audiences []audience

// audience is a URL whose scheme and host are in lower case. Another text is all
// path.
type audience struct{ scheme, host, path string }

func newAudiences(list []string) audiences {
	var set audiences
	for _, a := range list {
		set = append(set, newAudience(a))
	}
	return set
}

func newAudience(text string) audience {
	text = strings.TrimSuffix(text, "/")
	scheme, host, ok := strings.Cut(text, "://")
	if !ok {
		return audience{path: text}
	}
	end := strings.IndexAny(host, "/?#")
	if end < 0 {
		end = len(host)
	}
	return audience{lower(text[:len(scheme)+len("://")]), lower(host[:end]), host[end:]} // with "://", an empty scheme isn't none
}

// lower folds ASCII only: other letters that fold to ASCII ones, such as the
// Kelvin sign, name another host.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// check ends the exchange if the verified token is for the management API, whose
// audiences are set. With rejectMixed, one that is also for others is refused.
func (set audiences) check(claims jws.Claims, rejectMixed bool) error {
	management, others, err := set.count(claims)
	switch {
	case err != nil:
		return err
	case management == 0:
		return nil
	case others > 0 && rejectMixed:
		return decided(MixedAudience, "the management API is among %d audiences", management+others)
	}
	return &verdict{outcome: ManagementAudience}
}

// count returns how many audiences of claims are in set, and how many others there
// are.
func (set audiences) count(claims jws.Claims) (in, others int, err error) {
	list, err := claims.GetAudience()
	for _, a := range list {
		if slices.Contains(set, newAudience(a)) {
			in++
		} else {
			others++
		}
	}
	return in, others, err
}
