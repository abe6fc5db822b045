package kongtest

import "testing"

func TestRouter(t *testing.T) {
	no := false
	svc := func(path string) *service { return &service{serviceSpec: serviceSpec{Path: path}} }
	both := []string{"http", "https"}
	routes := []*route{
		{routeSpec: routeSpec{Name: "short", Paths: []string{"/a"}, Protocols: both}, service: svc(""), strip: true},
		{routeSpec: routeSpec{Name: "long", Paths: []string{"/a/b"}, Protocols: both}, service: svc("/base"), strip: true},
		{routeSpec: routeSpec{Name: "regex", Paths: []string{`~/a/\d+$`}, Protocols: both}, service: svc("/base/"), strip: true},
		{routeSpec: routeSpec{Name: "weak", Paths: []string{`~/r/`}, Protocols: both}, service: svc(""), strip: no},
		{routeSpec: routeSpec{Name: "strong", Paths: []string{`~/r`}, RegexPriority: 5, Protocols: both}, service: svc(""), strip: no},
		{routeSpec: routeSpec{Name: "post", Paths: []string{"/"}, Methods: []string{"POST"}, Protocols: both}, service: svc(""), strip: true},
		{routeSpec: routeSpec{Name: "plain", Paths: []string{"/plain"}, Protocols: []string{"http"}}, service: svc(""), strip: no},
	}
	rt, err := newRouter(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ method, scheme, path, name, upstream string }{
		{"GET", "http", "/a", "short", "/"},
		{"GET", "http", "/a/", "short", "/"},
		{"GET", "http", "/a/x/", "short", "/x/"},
		{"GET", "http", "/ax", "short", "/x"}, // a prefix doesn't end at a segment
		{"GET", "http", "/a/b", "long", "/base"},
		{"GET", "http", "/a/b/", "long", "/base/"},
		{"GET", "http", "/a/b/c", "long", "/base/c"},
		{"GET", "http", "/a/12", "regex", "/base/"},
		{"GET", "http", "/a/12/x", "short", "/12/x"},
		{"GET", "http", "/x/a/12", "", ""}, // a regex is anchored
		{"GET", "http", "/r/1", "strong", "/r/1"},
		{"POST", "http", "/a/12", "post", "/a/12"}, // more attributes win
		{"GET", "http", "/", "", ""},
		{"GET", "http", "/plain", "plain", "/plain"},
		{"GET", "https", "/plain", "", ""},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r, matched := rt.match(test.method, test.scheme, test.path)
			if r == nil {
				if test.name != "" {
					t.Errorf("no route, want %s", test.name)
				}
				return
			}
			if up := r.upstreamPath(test.path, matched); r.Name != test.name || up != test.upstream {
				t.Errorf("route %s to %s, want %s to %s", r.Name, up, test.name, test.upstream)
			}
		})
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
