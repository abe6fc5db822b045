package kongtest

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

// recordings are exchanges through a real Kong 3.9.3, kept beside the
// repository.
const recordings = "../../../shared/kong-3.9.3"

// recording is one exchange.
type recording struct {
	Name    string
	Request struct {
		Method, Path, Body string
		Headers            http.Header
	}
	Upstream struct {
		Status  int
		Headers http.Header
		Body    string
	}
	UpstreamSaw  received      `json:"upstream_saw"`
	PluginFrames []frameRecord `json:"plugin_frames"`
	ClientSaw    received      `json:"client_saw"`
}

// received is a message as one side received it.
type received struct {
	Method, Path, Proto, Body string
	Status                    int
	Headers                   http.Header
}

type frameRecord struct {
	From, Kind, Method, Type, Note string
	Data                           json.RawMessage
}

// departures are the differences that the stand-in can't avoid, by recording:
// the header of client_saw that is missing.
var departures = map[string][]string{
	"no-content": {"Content-Length"}, // net/http never writes one with a 204
}

// varying headers differ from run to run.
var varying = []string{"Date", "X-Kong-Proxy-Latency", "X-Kong-Upstream-Latency", "X-Kong-Request-Id"}

func readRecording(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func recordingNames(t *testing.T) (names []string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(recordings, "*.json"))
	for _, f := range files {
		if name := filepath.Base(f); name != "start-instance.json" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Skipf("no recordings of Kong in %s", recordings)
	}
	return names
}

func TestRecordings(t *testing.T) {
	for _, name := range recordingNames(t) {
		t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
			t.Parallel()
			var rec recording
			readRecording(t, name, &rec)
			replay(t, &rec)
		})
	}
}

func replay(t *testing.T, rec *recording) {
	upstreamSaw := make(chan received, 1)
	upstream := httptest.NewServer(rec.upstream(upstreamSaw))
	defer upstream.Close()
	script := newScript(t, rec.PluginFrames)
	s := serveWith(t, Options{Config: tokenRoute(upstream.URL), Workers: 1}, probe("access", "response", "log"), script.listen(t))
	script.prefix = s.prefix

	clientSaw, id := rec.send(t, s)
	script.check(t)
	rec.checkClient(t, clientSaw, id)
	rec.checkUpstream(t, <-upstreamSaw, upstream.URL, s, id)
	leftover, _ := filepath.Glob(filepath.Join(s.prefix, "client_body_temp", "*"))
	if len(leftover) > 0 {
		t.Errorf("request bodies left behind: %v", leftover)
	}
}

// requestBody is the recorded body, in full if it was abridged.
func (rec *recording) requestBody() string {
	return strings.Replace(rec.Request.Body, "<20000 x>", strings.Repeat("x", 20000), 1)
}

// upstream answers as the recorded one did.
func (rec *recording) upstream(saw chan<- received) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header.Clone()
		h.Set("Host", r.Host)
		saw <- received{Method: r.Method, Path: r.URL.RequestURI(), Proto: r.Proto, Headers: h, Body: string(body)}
		maps.Copy(w.Header(), rec.Upstream.Headers)
		answer := []byte(rec.Upstream.Body)
		switch rec.Name {
		case "upstream-reset":
			panic(http.ErrAbortHandler)
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
			answer = rec.rawBody()
		}
		w.WriteHeader(rec.Upstream.Status)
		if rec.Name == "chunked" {
			w.(http.Flusher).Flush()
		}
		w.Write(answer)
	})
}

// rawBody is the upstream's body as the plugin saw it.
func (rec *recording) rawBody() (body []byte) {
	for _, f := range rec.PluginFrames {
		if f.From == "kong" && f.Method == "kong.service.response.get_raw_body" {
			var data struct{ V []byte }
			json.Unmarshal(f.Data, &data)
			return data.V
		}
	}
	return nil
}

// send plays the client and returns what it saw, and the request's id.
func (rec *recording) send(t *testing.T, s *StandIn) (received, string) {
	t.Helper()
	tr := &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	defer tr.CloseIdleConnections()
	base := s.URL()
	if rec.Name == "http2" {
		base = s.TLSURL()
	}
	var body io.Reader
	if rec.Request.Body != "" {
		body = strings.NewReader(rec.requestBody())
	}
	req, err := http.NewRequestWithContext(t.Context(), rec.Request.Method, base+rec.Request.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, rec.Request.Headers)
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return received{Proto: res.Proto, Status: res.StatusCode, Headers: res.Header, Body: string(answer)},
		res.Header.Get("X-Kong-Request-Id")
}

func (rec *recording) checkClient(t *testing.T, got received, id string) {
	t.Helper()
	want := rec.ClientSaw
	want.Body = strings.ReplaceAll(want.Body, want.Headers.Get("X-Kong-Request-Id"), id)
	if got.Proto != want.Proto || got.Status != want.Status || got.Body != want.Body {
		t.Errorf("client saw %s %d %q, want %s %d %q", got.Proto, got.Status, got.Body, want.Proto, want.Status, want.Body)
	}
	ignored := slices.Concat(varying, departures[rec.Name])
	compareHeaders(t, "client", got.Headers, want.Headers, ignored)
	if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(id) {
		t.Errorf("request id %q", id)
	}
	for _, name := range varying {
		if got.Headers.Get(name) == "" {
			t.Errorf("client saw no %s", name)
		}
	}
}

func (rec *recording) checkUpstream(t *testing.T, got received, upstreamURL string, s *StandIn, id string) {
	t.Helper()
	want := rec.UpstreamSaw
	if strings.HasPrefix(want.Body, "<") { // abridged
		want.Body = rec.requestBody()
	}
	if got.Method != want.Method || got.Path != want.Path || got.Proto != want.Proto || got.Body != want.Body {
		t.Errorf("upstream saw %s %s %s %q, want %s %s %s %q",
			got.Method, got.Path, got.Proto, got.Body, want.Method, want.Path, want.Proto, want.Body)
	}
	proxy, _ := url.Parse(s.URL())
	if rec.Name == "http2" {
		proxy, _ = url.Parse(s.TLSURL())
	}
	target, _ := url.Parse(upstreamURL)
	want.Headers.Set("Host", target.Host)
	want.Headers.Set("X-Forwarded-Port", proxy.Port())
	want.Headers.Set("X-Kong-Request-Id", id)
	compareHeaders(t, "upstream", got.Headers, want.Headers, nil)
}

func compareHeaders(t *testing.T, who string, got, want http.Header, ignored []string) {
	t.Helper()
	got, want = got.Clone(), want.Clone()
	for _, name := range ignored {
		got.Del(name)
		want.Del(name)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s saw the headers\n%v, want\n%v", who, got, want)
	}
}

// serveWith runs a stand-in in front of a plugin that listens on socket.
func serveWith(t *testing.T, o Options, info *pluginInfo, socket string) *StandIn {
	t.Helper()
	s, err := newStandIn(o, info, socket, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// probe describes a plugin that takes no configuration.
func probe(phases ...string) *pluginInfo {
	info := &pluginInfo{Name: "probe", Version: "1.0.0", Phases: phases}
	info.Schema.Fields = schema.Fields{{Name: "config", Type: "record"}}
	return info
}

// tokenRoute is a configuration with the probe on a route of that upstream.
func tokenRoute(upstream string) []byte {
	return []byte(`
_format_version: "3.0"
services:
- name: idp
  url: ` + upstream + `
  routes:
  - name: token
    paths: [/oauth2]
    strip_path: false
    plugins: [{name: probe}]
`)
}
