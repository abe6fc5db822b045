package kongtest

import (
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// route is one route of the configuration.
type route struct {
	routeSpec
	id      string
	service *service
	plugin  *pluginConfig // nil if none applies
}

// message is what plugins see of a route, as far as the stand-in knows it.
func (r *route) message() proto.Message {
	return &kong_plugin_protocol.Route{
		Id: r.id, Name: r.Name, Paths: r.Paths, Service: &kong_plugin_protocol.ServiceKey{Id: r.service.id},
	}
}

// matcher is one path of a route.
type matcher struct {
	route  *route
	prefix string         // "" if regex is set
	regex  *regexp.Regexp // nil for a prefix
}

// router finds the route of a request.
type router struct{ matchers []matcher }

// newRouter puts paths into Kong's order: those of routes with rules on headers
// first, then regular expressions, then longer prefixes. Ties stay in the
// configuration's order.
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
		case len(a.route.Headers) != len(b.route.Headers):
			return len(b.route.Headers) - len(a.route.Headers)
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
func (rt *router) match(requestPath string, header http.Header) *route {
	for _, m := range rt.matchers {
		if m.matches(requestPath) && m.route.Headers.match(header) {
			return m.route
		}
	}
	return nil
}

func (m matcher) matches(requestPath string) bool {
	if m.regex != nil {
		return m.regex.MatchString(requestPath)
	}
	return strings.HasPrefix(requestPath, m.prefix)
}

// match reports whether header has, for each name, one of the values in any letter
// case.
func (rules routeHeaders) match(header http.Header) bool {
	for name, values := range rules {
		if !slices.ContainsFunc(values, func(value string) bool { return strings.EqualFold(value, header.Get(name)) }) {
			return false
		}
	}
	return true
}

// cleanPath removes dot segments and doubled slashes but keeps a final slash.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		return clean + "/"
	}
	return clean
}
