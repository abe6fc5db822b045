package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/test/pdktest"
)

// TestReuseOfARoute: an answer is given again only on its route. Without a route or a
// service, none is, and the log says so.
func TestReuseOfARoute(t *testing.T) {
	e := newEdge(t, "")
	first := e.start()
	if again := e.start(`"__seq__":1`, `"__seq__":2`); again != first {
		t.Error("the route's instance is started twice")
	}
	second, service := e.start(`"r1"`, `"r2"`), e.start(`"route_id":"r1"`, `"service_id":"r1"`)
	e.enriched(first, e.replies(newTokenRequest()))
	for name, i := range map[string]*instance{"another route": second, "a service": service} {
		if k := e.access(i, e.replies(newTokenRequest())); k.Exit != nil || i == first {
			t.Errorf("%s: exit %s, want that the provider is asked", name, exit(k))
		}
	}
	global := e.start(`"route_id":"r1",`, "")
	k := e.access(global, e.replies(newTokenRequest()))
	if global.gateway.Reuse != nil || len(k.Calls) != 6+strings.Count(strings.Join(k.Calls, " "), "kong.log") {
		t.Errorf("without a route: %v, want no more than the usual questions", k.Calls)
	}
	if log := strings.Join(k.Log, "\n"); !strings.Contains(log, "no answer is reused") {
		t.Errorf("log %q, want why no answer is reused", log)
	}
}

// TestReuseOfAService: the routes of one service share no answers. If Kong doesn't say
// which route a request takes, its answer isn't held.
func TestReuseOfAService(t *testing.T) {
	e := newEdge(t, "")
	i := e.start(`"route_id":"r1"`, `"service_id":"s1"`)
	taking := func(route string) pdktest.Replies {
		replies := e.replies(newTokenRequest())
		if route != "" {
			replies["kong.router.get_route"] = pdktest.Route(route)
		}
		return replies
	}
	e.enriched(i, taking("r1"))
	e.enriched(i, taking(""))
	for route, reused := range map[string]bool{"r1": true, "r2": false, "": false} {
		if k := e.access(i, taking(route)); (k.Exit != nil) != reused {
			t.Errorf("route %q: exit %s, want an answer: %t", route, exit(k), reused)
		}
	}
}

// TestReuseAsksNothingInVain: where no answer can ever be held, Kong is asked no more
// than without reuse.
func TestReuseAsksNothingInVain(t *testing.T) {
	e := newEdge(t, "")
	for name, setting := range map[string]string{"off": "", "observe": `"mode":"observe",`, "nobody enforced": `"enforce_share":0,`} {
		i := e.start(`"route_id"`, setting+`"route_id"`, `"enabled":true`, fmt.Sprintf(`"enabled":%t`, name != "off"))
		k := e.access(i, e.replies(newTokenRequest()))
		calls := slices.DeleteFunc(k.Calls, func(method string) bool { return strings.HasPrefix(method, "kong.log") })
		if len(calls) != 6 || i.gateway.Reuse != nil {
			t.Errorf("%s: %v, want six variables", name, calls)
		}
	}
}
