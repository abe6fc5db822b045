package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stub is a source whose states the test sets.
type stub []State

func (s stub) States() []State { return s }
func (stub) Instances() int    { return 2 }
func (stub) Missed() uint64    { return 6 }

var running = State{
	Config: "0a1b2c3d", Issuer: "https://example.kinde.com",
	Cache:        Cache{Hits: 7, Misses: 3, Stale: 1, Entries: 2, Bytes: 1400, Errors: map[string]uint64{"timeout": 4}},
	Keys:         []Key{{"kid-1", "RS256", "signing"}, {"kid-2", "ES256", "published"}},
	KeyFile:      time.Now().Add(-time.Hour),
	ProviderKeys: time.Now().Add(-time.Minute), ProviderFailed: 5, ProviderFaulty: 2,
	Reuse: &Reuse{Made: 30, Saved: 70, SharedErrors: 8, Entries: 9, Bytes: 2100},
}

// scrape returns what a scrape says.
func scrape(t *testing.T, m *Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.scrapes().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func used(t *testing.T) *Metrics {
	t.Helper()
	m := New(Build{Version: "0.1.0", Go: "go1.26", Signatures: "OpenSSL"}, stub{running})
	m.Outcome("0a1b2c3d", "enriched", "replace", "")
	m.Outcome("0a1b2c3d", "unknown_application", "refuse", "request-1")
	m.Handler("response", 3*time.Millisecond)
	m.Step("verify", time.Millisecond)
	return m
}

func TestScrape(t *testing.T) {
	text := scrape(t, used(t), "text/plain")
	for _, want := range []string{
		`m2m_outcomes_total{action="replace",config="0a1b2c3d",outcome="enriched"} 1`,
		`m2m_outcomes_total{action="refuse",config="0a1b2c3d",outcome="unknown_application"} 1`,
		`m2m_handler_seconds_bucket{phase="response",le="0.005"} 1`,
		`m2m_step_seconds_count{step="verify"} 1`,
		`m2m_build_info{go="go1.26",signatures="OpenSSL",version="0.1.0"} 1`,
		`m2m_instances 2`, `m2m_audit_missed_total 6`, `m2m_ready{config="0a1b2c3d",issuer="https://example.kinde.com"} 1`,
		`m2m_cache_hits_total{config="0a1b2c3d"} 7`, `m2m_cache_misses_total{config="0a1b2c3d"} 3`,
		`m2m_cache_stale_total{config="0a1b2c3d"} 1`, `m2m_cache_entries{config="0a1b2c3d"} 2`, `m2m_cache_bytes{config="0a1b2c3d"} 1400`,
		`m2m_redis_errors_total{config="0a1b2c3d",kind="timeout"} 4`, `m2m_provider_keys_failures_total{config="0a1b2c3d"} 5`,
		`m2m_provider_keys_skipped{config="0a1b2c3d"} 2`,
		`m2m_provider_calls_total{call="made",config="0a1b2c3d"} 30`, `m2m_provider_calls_total{call="saved",config="0a1b2c3d"} 70`,
		`m2m_reuse_entries{config="0a1b2c3d"} 9`, `m2m_reuse_bytes{config="0a1b2c3d"} 2100`, `m2m_reuse_shared_errors_total{config="0a1b2c3d"} 8`,
		`m2m_signing_key{alg="RS256",config="0a1b2c3d",kid="kid-1",role="signing"} 1`,
		`m2m_provider_keys_age_seconds{config="0a1b2c3d"} 6`, `m2m_key_file_age_seconds{config="0a1b2c3d"} 36`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not in the scrape: %s", want)
		}
	}
}

// TestWithoutReuse: a configuration that reuses no answers has no series about them.
func TestWithoutReuse(t *testing.T) {
	without := running
	without.Reuse = nil
	text := scrape(t, New(Build{}, stub{without}), "text/plain")
	for _, never := range []string{"m2m_reuse_", "m2m_provider_calls_total"} {
		if strings.Contains(text, never) {
			t.Errorf("%s is in the scrape of a configuration without reuse", never)
		}
	}
}

// TestWorkflowStep: its series is there only where a workflow ran.
func TestWorkflowStep(t *testing.T) {
	m := used(t)
	const series = `m2m_step_seconds_count{step="workflow"}`
	if text := scrape(t, m, "text/plain"); strings.Contains(text, series) || !strings.Contains(text, `m2m_step_seconds_count{step="sign"} 0`) {
		t.Errorf("got a series of workflows, or none of signatures, before the first")
	}
	for range 2 {
		m.Step("workflow", time.Millisecond)
	}
	if text := scrape(t, m, "text/plain"); !strings.Contains(text, series+" 2") {
		t.Errorf("%s 2 isn't in the scrape", series)
	}
}

// TestExemplars: a count of a failure leads to Kong's log line.
func TestExemplars(t *testing.T) {
	text := scrape(t, used(t), "application/openmetrics-text; version=1.0.0")
	if !regexp.MustCompile(`outcome="unknown_application"} 1\.0 # {request_id="request-1"} 1\.0`).MatchString(text) {
		t.Errorf("no exemplar in\n%s", text)
	}
	if regexp.MustCompile(`outcome="enriched"} 1\.0 #`).MatchString(text) {
		t.Error("a count without a request's id has an exemplar")
	}
}

// TestPage: docs/operate.md has each metric of a scrape, and no other.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	text := scrape(t, used(t), "text/plain")
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (m2m_[a-z_]+) `).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("%s isn't on the page", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(m2m_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		if !names[m[1]] && m[1] != "m2m_outcome" {
			t.Errorf("%s is on the page, but in no scrape", m[1])
		}
	}
}

// TestNobodyAsked: metrics that aren't there cost nothing and break nothing.
func TestNobodyAsked(t *testing.T) {
	var m *Metrics
	m.Outcome("a", "b", "c", "d")
	m.Handler("a", 1)
	m.Step("a", 1)
	m.Forget("a")
}

// TestForget: a configuration that is gone leaves nothing behind.
func TestForget(t *testing.T) {
	m := used(t)
	m.Forget("0a1b2c3d")
	if text := scrape(t, m, "text/plain"); strings.Contains(text, "m2m_outcomes_total{") {
		t.Errorf("outcomes stay:\n%s", text)
	}
}

// TestNotReady: a configuration that can't enrich says so.
func TestNotReady(t *testing.T) {
	text := scrape(t, New(Build{}, stub{{Config: "a", Issuer: "i", NotReady: errors.New("no signing key")}}), "text/plain")
	for want, there := range map[string]bool{`m2m_ready{config="a",issuer="i"} 0`: true, "m2m_key_file_age_seconds{": false, "m2m_provider_keys_age_seconds{": false} {
		if strings.Contains(text, want) != there {
			t.Errorf("%s is in the scrape: %t", want, !there)
		}
	}
}

func TestServe(t *testing.T) {
	for name, tt := range map[string]struct {
		source stub
		path   string
		status int
	}{
		"metrics":   {stub{running}, "/metrics", 200},
		"health":    {nil, "/healthz", 200},
		"ready":     {stub{running}, "/readyz", 200},
		"none yet":  {nil, "/readyz", 200},
		"not ready": {stub{running, {Issuer: "https://other", NotReady: errors.New("no signing key")}}, "/readyz", 503},
		"nothing":   {nil, "/", 404},
	} {
		server := httptest.NewServer(New(Build{}, tt.source).mux())
		resp, err := http.Get(server.URL + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		server.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, body)
		}
	}
}

// TestAddressInUse: at a reload the process before still has the address.
func TestAddressInUse(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := before.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan string, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		listen := func() (net.Listener, error) { return net.Listen("tcp", address) }
		New(Build{}, stub{}).Serve(ctx, listen, func(line string) { said <- line })
	}()
	if line := <-said; !strings.Contains(line, "trying again") {
		t.Errorf("said %q", line)
	}
	before.Close()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("it doesn't serve: %w", err))
		}
	}
	cancel()
	<-ended
}

// TestJoin: configurations of one name count together, show a key once, are as
// old as the oldest and ready if both are; one that has ended leaves its counts.
func TestJoin(t *testing.T) {
	other := running
	other.Cache.Errors = map[string]uint64{"timeout": 1, "auth": 2}
	other.Keys = []Key{{"kid-1", "RS256", "signing"}, {"kid-3", "ES256", "published"}}
	other.ProviderKeys, other.NotReady = time.Time{}, errors.New("no keys of the provider's")
	got := running.Join(other)
	if got.Cache.Hits != 14 || got.Cache.Entries != 4 || got.Cache.Errors["timeout"] != 5 || got.Cache.Errors["auth"] != 2 || got.ProviderFailed != 10 {
		t.Errorf("counts %+v, %d", got.Cache, got.ProviderFailed)
	}
	if len(got.Keys) != 3 || got.ProviderKeys != running.ProviderKeys || got.NotReady == nil || len(running.Cache.Errors) != 1 {
		t.Errorf("got %+v", got)
	}
	ended := running.Join(other.Counts())
	if ended.Cache.Hits != 14 || ended.Cache.Entries != 2 || len(ended.Keys) != 2 || ended.NotReady != nil {
		t.Errorf("after one has ended: %+v", ended)
	}
	if got.Reuse == running.Reuse || *got.Reuse != (Reuse{Made: 60, Saved: 140, SharedErrors: 16, Entries: 18, Bytes: 4200}) {
		t.Errorf("got the reuse %+v, want the sums", got.Reuse)
	}
	if want := (Reuse{Made: 60, Saved: 140, SharedErrors: 16, Entries: 9, Bytes: 2100}); *ended.Reuse != want {
		t.Errorf("after one has ended: got the reuse %+v, want %+v", *ended.Reuse, want)
	}
	other.Reuse = nil
	if one := other.Join(running); *one.Reuse != *running.Reuse || *running.Join(other).Reuse != *running.Reuse || other.Join(other).Counts().Reuse != nil {
		t.Errorf("got the reuse %+v with a configuration that has none, want %+v", one.Reuse, running.Reuse)
	}
	if first := (State{}).Join(running); first.Config != running.Config {
		t.Errorf("with nothing: %+v", first)
	}
	scrape(t, New(Build{}, stub{got}), "text/plain") // fails if a series is there twice
}
