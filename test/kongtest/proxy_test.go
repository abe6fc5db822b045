package kongtest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
)

// arena is a gateway between a client, an upstream and a plugin.
type arena struct {
	*StandIn
	t      *testing.T
	client *http.Client
}

// newArena runs a gateway with plugin on the route /oauth2.
func newArena(t *testing.T, plugin *fakePlugin, upstream http.HandlerFunc) *arena {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	return newArenaWith(t, plugin, tokenRoute(up.URL))
}

func newArenaWith(t *testing.T, plugin *fakePlugin, config []byte) *arena {
	t.Helper()
	socket := listenUnix(t, plugin.serve)
	s := serveWith(t, Options{Config: config}, probe(plugin.phases()...), socket)
	return &arena{StandIn: s, t: t, client: newClient(t)}
}

func newClient(t *testing.T) *http.Client {
	tr := &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: tr, CheckRedirect: noRedirect}
}

// ask sends a request and returns the answer with its whole body. header are
// pairs of names and values.
func (a *arena) ask(method, path, body string, header ...string) (*http.Response, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.URL()+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil && err != io.ErrUnexpectedEOF {
		a.t.Fatal(err)
	}
	return res, string(answer)
}

func (a *arena) expect(method, path string, status int, part string) *http.Response {
	a.t.Helper()
	res, body := a.ask(method, path, "")
	if res.StatusCode != status || !strings.Contains(body, part) {
		a.t.Errorf("%s %s: %d %q, want %d and %q\n%s", method, path, res.StatusCode, body, status, part, a.Log())
	}
	return res
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }
}

func TestExitInAccessSkipsTheUpstream(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
		"access":   func(k *pdk.PDK) { k.Response.Exit(403, []byte("no"), http.Header{"X-Why": {"because"}}) },
		"response": func(k *pdk.PDK) { k.Response.Exit(500, nil, nil) },
	}}
	a := newArena(t, plugin, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was asked") })
	res := a.expect("GET", "/oauth2/token", 403, "no")
	if res.Header.Get("X-Why") != "because" || res.Header.Get("X-Kong-Response-Latency") == "" || res.Header.Get("Via") != "" {
		t.Errorf("headers %v", res.Header)
	}
}

func TestUpstreamFailures(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for _, test := range []struct {
		name     string
		upstream http.HandlerFunc
		status   int
		message  string
	}{
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			502, "An invalid response was received from the upstream server"},
		{"silence", func(_ http.ResponseWriter, r *http.Request) { block(r, stop) },
			504, "The upstream server is timing out"},
		{"truncated", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		}, 200, "The upstream server responded with 200"},
		{"stalled", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			block(r, stop)
		}, 200, "The upstream server responded with 200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
				"response": func(*pdk.PDK) { t.Error("the response phase ran") },
			}}
			up := httptest.NewServer(test.upstream)
			defer up.Close()
			config := strings.Replace(string(tokenRoute(up.URL)), "  routes:", "  read_timeout: 100\n  routes:", 1)
			a := newArenaWith(t, plugin, []byte(config))
			a.expect("GET", "/oauth2/token", test.status, test.message)
		})
	}
}

// block keeps a request until its client or the test gives up.
func block(r *http.Request, stop <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-stop:
	}
}

func TestUnknownMethodBecomesGet(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){"response": func(*pdk.PDK) {}}}
	a := newArena(t, plugin, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method) })
	a.expect("BREW", "/oauth2/token", 200, "GET")
	a.expect("PATCH", "/oauth2/token", 200, "PATCH")
}

func TestLargeRequestBodyIsAFile(t *testing.T) {
	for _, size := range []int{0, bodyBuffer, bodyBuffer + 1, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
				"response": func(k *pdk.PDK) {
					body, err := k.Request.GetRawBody()
					k.Response.Exit(200, fmt.Appendf(nil, "%d %v", len(body), err), nil)
				},
			}}
			a := newArena(t, plugin, answer(""))
			_, got := a.ask("POST", "/oauth2/token", strings.Repeat("x", size))
			if want := fmt.Sprintf("%d <nil>", size); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			files, _ := os.ReadDir(a.prefix + "/client_body_temp")
			if len(files) > 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	a := newArena(t, &fakePlugin{}, answer(""))
	res, body := a.ask("POST", "/oauth2/token", strings.Repeat("x", maxBody+1))
	if res.StatusCode != 413 || !strings.Contains(body, "Payload too large") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestUpgrades: only the value websocket turns the response phase off.
func TestUpgrades(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
		"response": func(k *pdk.PDK) { k.Response.Exit(200, []byte("replaced"), nil) },
	}}
	a := newArena(t, plugin, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("X-Upgrade", r.Header.Get("Upgrade"))
		}
		io.WriteString(w, "upstream's")
	})
	if res, body := a.ask("GET", "/oauth2/token", "", "Upgrade", "WebSocket", "Connection", "Upgrade"); body != "upstream's" || res.Header.Get("X-Upgrade") == "" {
		t.Errorf("websocket: got %q, %v", body, res.Header)
	}
	for _, header := range [][]string{
		{"Upgrade", "h2c"}, {"Upgrade", "TLS/1.2"}, {"Upgrade", "websocket, TLS/1.2"}, {"Upgrade", "websocket/13"}, {"Upgrade", "websocket", "Upgrade", "TLS/1.2"},
	} {
		res, body := a.ask("GET", "/oauth2/token", "", append(header, "Connection", "Upgrade")...)
		if body != "replaced" || res.Header.Get("X-Upgrade") != "" {
			t.Errorf("%v: got %q, %v", header, body, res.Header)
		}
	}
}

// TestBeforeThePluginListens: Kong starts the plugin and doesn't wait for it.
func TestBeforeThePluginListens(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){"access": func(k *pdk.PDK) { k.Response.Exit(200, []byte("answered"), nil) }}}
	socket := listenUnix(t, plugin.serve)
	away := socket + ".away"
	if err := os.Rename(socket, away); err != nil {
		t.Fatal(err)
	}
	s, err := newStandIn(Options{Config: tokenRoute("http://127.0.0.1:1")}, probe("access"), socket, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := &arena{StandIn: s, t: t, client: newClient(t)}
	a.expect("GET", "/oauth2/token", 500, "An unexpected error occurred")
	if err := os.Rename(away, socket); err != nil {
		t.Fatal(err)
	}
	a.expect("GET", "/oauth2/token", 200, "answered")
}
