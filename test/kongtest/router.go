package kongtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// route is one route of the configuration.
type route struct {
	routeSpec
	service *service
	plugin  *pluginConfig // nil if none applies
}

// matcher is one path of a route.
type matcher struct {
	route  *route
	prefix string         // "" if regex is set
	regex  *regexp.Regexp // nil for a prefix
}

// router finds the route of a request.
type router struct{ matchers []matcher }

// newRouter puts paths into Kong's order: regular expressions first, then
// longer prefixes. Ties stay in the configuration's order.
func newRouter(routes []*route) (*router, error) {
	rt := &router{}
	for _, r := range routes {
		for _, p := range r.Paths {
			m, err := newMatcher(r, p)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", r.Name, err)
			}
			rt.matchers = append(rt.matchers, m)
		}
	}
	slices.SortStableFunc(rt.matchers, func(a, b matcher) int {
		switch {
		case a.regex == nil && b.regex == nil:
			return len(b.prefix) - len(a.prefix)
		case b.regex == nil:
			return -1
		case a.regex == nil:
			return 1
		}
		return 0
	})
	return rt, nil
}

func newMatcher(r *route, p string) (matcher, error) {
	if pattern, ok := strings.CutPrefix(p, "~"); ok { // anchored at the start only
		regex, err := regexp.Compile("^(?:" + pattern + ")")
		if err != nil {
			return matcher{}, fmt.Errorf("paths: invalid regex: %w", err)
		}
		return matcher{route: r, regex: regex}, nil
	}
	if !strings.HasPrefix(p, "/") {
		return matcher{}, fmt.Errorf("paths: %q should start with: / (fixed path) or ~/ (regex path)", p)
	}
	return matcher{route: r, prefix: p}, nil
}

// match returns the route of a request, or nil.
func (rt *router) match(requestPath string) *route {
	for _, m := range rt.matchers {
		if m.regex != nil && m.regex.MatchString(requestPath) || m.regex == nil && strings.HasPrefix(requestPath, m.prefix) {
			return m.route
		}
	}
	return nil
}

// cleanPath removes dot segments and doubled slashes but keeps a final slash.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		return clean + "/"
	}
	return clean
}
