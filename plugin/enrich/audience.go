package enrich

import "strings"

// audiences is a set of audiences that are compared as URLs are by people:
// scheme and host in any case and one trailing slash more or less. Nothing
// else is folded, so that no other resource is taken for one of the set.
type audiences map[string]bool

func newAudiences(list []string) audiences {
	set := audiences{}
	for _, a := range list {
		set[foldAudience(a)] = true
	}
	return set
}

func (set audiences) has(audience string) bool { return set[foldAudience(audience)] }

func foldAudience(a string) string {
	a = strings.TrimSuffix(a, "/")
	scheme, rest, ok := strings.Cut(a, "://")
	if !ok {
		return a
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	return lower(scheme) + "://" + lower(host) + path
}

// lower folds ASCII only: other letters that fold to ASCII ones, such as the
// Kelvin sign, name another host.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// checkAudience ends the exchange if the verified token is for the management
// API.
func (e *Enricher) checkAudience(verified []string) error {
	management, others := 0, 0
	for _, a := range verified {
		if e.management.has(a) {
			management++
		} else {
			others++
		}
	}
	switch {
	case management == 0:
		return nil
	case others > 0 && e.cfg.RejectMixedAudience:
		return endWith(MixedAudience, "the management API is among %d audiences", management+others)
	}
	return &end{outcome: ManagementAudience}
}
