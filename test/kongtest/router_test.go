package kongtest

import (
	"net/http"
	"testing"
)

func TestRouter(t *testing.T) {
	var routes []*route
	for _, path := range []string{"/a", "/a/b", `~/a/\d+$`, "~/r/", "~/r"} {
		routes = append(routes, &route{routeSpec: routeSpec{Name: path, Paths: []string{path}}})
	}
	rt, err := newRouter(routes)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/a": "/a", "/a/": "/a", "/a/x/": "/a", "/a/b": "/a/b", "/a/b/c": "/a/b",
		"/ax":    "/a", // a prefix doesn't end at a segment
		"/a/12":  `~/a/\d+$`,
		"/a/1/x": "/a",
		"/x/a/1": "", // a regex is anchored
		"/r/1":   "~/r/", "/": "",
	} {
		got := ""
		if r := rt.match(path, nil); r != nil {
			got = r.Name
		}
		if got != want {
			t.Errorf("match(%q) = %q, want %q", path, got, want)
		}
	}
}

// TestRouterHeaders: a route with rules on headers takes the requests that keep
// them all, before a route without.
func TestRouterHeaders(t *testing.T) {
	rt, err := newRouter([]*route{
		{routeSpec: routeSpec{Name: "all", Paths: []string{"~/token$"}}},
		{routeSpec: routeSpec{Name: "eu", Paths: []string{"/token"}, Headers: routeHeaders{"x-region": {"eu", "uk"}}}},
		{routeSpec: routeSpec{Name: "eu-gold", Paths: []string{"/token"}, Headers: routeHeaders{"x-region": {"eu"}, "x-plan": {"gold"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for want, header := range map[string]http.Header{
		"all": {"X-Region": {"us"}}, "eu": {"X-Region": {"EU"}, "X-Plan": {"free"}}, "eu-gold": {"X-Region": {"eu"}, "X-Plan": {"gold"}},
	} {
		if got := rt.match("/token", header); got.Name != want {
			t.Errorf("match with %v = %q, want %q", header, got.Name, want)
		}
	}
}

func TestCleanPath(t *testing.T) {
	for given, want := range map[string]string{
		"": "/", "/": "/", "/a/": "/a/", "//a//b": "/a/b", "/a/../b/.": "/b", "/../..": "/", "/a%2Fb": "/a%2Fb",
	} {
		if got := cleanPath(given); got != want {
			t.Errorf("cleanPath(%q) = %q, want %q", given, got, want)
		}
	}
}
