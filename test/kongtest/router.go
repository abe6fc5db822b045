package kongtest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// service is where a route leads.
type service struct {
	serviceSpec
	transport *http.Transport
}

// address is the service's host and port as a Host header has them.
func (s *service) address() string { return hostPort(s.Protocol, s.Host, s.Port) }

func hostPort(protocol, host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == defaultPort(protocol) {
		return host
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// route is one route of the configuration with what applies to it.
type route struct {
	routeSpec
	service *service
	plugin  *pluginConfig // nil if none applies
	strip   bool
}

// matcher is one path of a route, or a route without paths.
type matcher struct {
	route      *route
	prefix     string         // "" if regex is set or the route has no paths
	regex      *regexp.Regexp // nil for a prefix
	attributes int            // how many of paths and methods the route restricts
}

// router finds the route of a request.
type router struct{ matchers []matcher }

// newRouter puts routes into Kong's order: first those that restrict more
// attributes, then regular expressions by priority, then longer paths. Ties
// stay in the configuration's order.
func newRouter(routes []*route) (*router, error) {
	rt := &router{}
	for _, r := range routes {
		matchers, err := matchersOf(r)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", r.Name, err)
		}
		rt.matchers = append(rt.matchers, matchers...)
	}
	slices.SortStableFunc(rt.matchers, func(a, b matcher) int {
		switch {
		case a.attributes != b.attributes:
			return b.attributes - a.attributes
		case (a.regex != nil) != (b.regex != nil):
			if a.regex != nil {
				return -1
			}
			return 1
		case a.regex != nil:
			return cmp.Compare(b.route.RegexPriority, a.route.RegexPriority)
		}
		return len(b.prefix) - len(a.prefix)
	})
	return rt, nil
}

func matchersOf(r *route) ([]matcher, error) {
	attributes := min(len(r.Paths), 1) + min(len(r.Methods), 1)
	if attributes == 0 {
		return nil, errors.New("must set one of 'methods', 'paths'")
	}
	if len(r.Paths) == 0 {
		return []matcher{{route: r, attributes: attributes}}, nil
	}
	var list []matcher
	for _, p := range r.Paths {
		m := matcher{route: r, attributes: attributes}
		switch {
		case strings.HasPrefix(p, "~"): // anchored at the start only
			regex, err := regexp.Compile("^(?:" + p[1:] + ")")
			if err != nil {
				return nil, fmt.Errorf("paths: invalid regex: %w", err)
			}
			m.regex = regex
		case strings.HasPrefix(p, "/"):
			m.prefix = p
		default:
			return nil, fmt.Errorf("paths: %q should start with: / (fixed path) or ~/ (regex path)", p)
		}
		list = append(list, m)
	}
	return list, nil
}

// match returns the route of a request and the part of its path that the
// route's path matched, or nil. A route for https only matches plain requests
// too: they are asked to come back over TLS.
func (rt *router) match(method, scheme, requestPath string) (*route, string) {
	for _, m := range rt.matchers {
		r := m.route
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
			continue
		}
		if scheme == "https" && !slices.Contains(r.Protocols, "https") {
			continue
		}
		if m.regex != nil {
			if found := m.regex.FindStringIndex(requestPath); found != nil {
				return r, requestPath[:found[1]]
			}
		} else if strings.HasPrefix(requestPath, m.prefix) {
			return r, m.prefix
		}
	}
	return nil, ""
}

// upstreamPath is the path that the service sees when requestPath matched with
// its start matched.
func (r *route) upstreamPath(requestPath, matched string) string {
	rest := requestPath
	if r.strip {
		rest = strings.TrimPrefix(requestPath, matched)
	}
	base := cmp.Or(r.service.Path, "/")
	rest = strings.TrimPrefix(rest, "/")
	switch {
	case strings.HasSuffix(base, "/"):
		return base + rest
	case rest == "" && !strings.HasSuffix(requestPath, "/"):
		return base
	}
	return base + "/" + rest
}

// cleanPath removes dot segments and doubled slashes but keeps a final slash.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		return clean + "/"
	}
	return clean
}
