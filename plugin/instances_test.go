package plugin

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/pdktest"
)

// newTestInstances returns instances that end with the test.
func newTestInstances(t *testing.T) *instances {
	is := newInstances()
	t.Cleanup(func() {
		is.mu.Lock()
		defer is.mu.Unlock()
		for _, i := range is.known {
			i.close()
		}
	})
	return is
}

// start starts the only instance of a server.
func start(t *testing.T, config string) *instance {
	return newTestInstances(t).start([]byte(config))
}

// find returns the instance called id, which is then used, nil if it isn't known.
func (is *instances) find(id int32) *instance {
	i := is.use(id)
	if i != nil {
		i.busy.Add(-1)
	}
	return i
}

// withoutEnricher starts an instance whose response phase panics.
func withoutEnricher(t *testing.T, config string) *instance {
	is := newTestInstances(t)
	open := is.open
	is.open = func(cfg *schema.Config, o gateway.Options) (*gateway.Gateway, error) {
		g, err := open(cfg, o)
		return &gateway.Gateway{Config: g.Config, Provider: g.Provider, Keys: g.Keys, Records: g.Records}, err
	}
	return is.start([]byte(config))
}

// TestIDs: an id names one instance, and none in another process.
func TestIDs(t *testing.T) {
	is, other := newTestInstances(t), newTestInstances(t)
	first := is.start([]byte(goodConfig))
	if i := other.start([]byte(goodConfig)); i.id == first.id || other.find(first.id) != nil {
		t.Errorf("%d is an instance in two processes", first.id)
	}
	is.lastID = math.MaxInt32 - 1
	for _, want := range []int32{math.MaxInt32, 1} {
		if id := is.newID(); id != want {
			t.Errorf("the id is %d, want %d", id, want)
		}
	}
	is.lastID = first.id - 1
	if second := is.start([]byte(observing)); second.id != first.id%math.MaxInt32+1 || is.find(first.id) != first {
		t.Errorf("%d comes after %d, which is in use", second.id, first.id)
	}
}

// TestNamesakes: configurations that differ in a secret alone are two, under one
// name: their series are one, and stay while one of them does.
func TestNamesakes(t *testing.T) {
	is := newTestInstances(t)
	scrape := scrapes(t, is)
	now := time.Now()
	is.now = func() time.Time { return now }
	good, _ := able(t)
	withPassword := func(password string) *instance {
		i := ready(t, is.start([]byte(strings.Replace(good, `"port":1`, `"port":1,"password":"`+password+`"`, 1))))
		handle(t, &pdktest.Kong{}, "response", i.handleEvent)
		_, _ = i.gateway.Records.Record(t.Context(), schema.Application, "a") // no Redis is there
		return i
	}
	old := withPassword("hunter2")
	now = now.Add(idleLimit / 2)
	replacement := withPassword("letmein")
	if old == replacement || old.id == replacement.id || old.gateway == replacement.gateway || old.name != replacement.name {
		t.Fatalf("they are %d, %s and %d, %s", old.id, old.name, replacement.id, replacement.name)
	}
	outcomes := fmt.Sprintf(`m2m_outcomes_total{action="refuse",config=%q,outcome="bad_token_response"} 2`, replacement.name)
	misses := fmt.Sprintf("m2m_cache_misses_total{config=%q} 2", replacement.name)
	both := scrape()
	for _, text := range []string{outcomes, misses, fmt.Sprintf("m2m_ready{config=%q,", replacement.name), "m2m_instances 2"} {
		if strings.Count(both, text) != 1 {
			t.Errorf("%d times in the scrape: %s", strings.Count(both, text), text)
		}
	}
	now = now.Add(idleLimit / 2)
	is.find(replacement.id) // the old one isn't in use
	if one := scrape(); !strings.Contains(one, outcomes) || !strings.Contains(one, misses) || !strings.Contains(one, "m2m_instances 1") {
		t.Errorf("the counts of the old one are missing:\n%s", one)
	}
	now = now.Add(idleLimit)
	is.find(0) // nothing is in use
	if none := scrape(); strings.Contains(none, replacement.name) || len(is.counts) != 0 {
		t.Errorf("the counts stay: %v", is.counts)
	}
}

// TestInvalidHasNoFingerprint: a secret may be anywhere in a configuration that
// can't be used.
func TestInvalidHasNoFingerprint(t *testing.T) {
	for _, config := range []string{"{", strings.Replace(goodConfig, "http://127.0.0.1:1", "https://user:hunter2@keys.example", 1)} {
		if i := start(t, config); i.invalid == nil || i.name != "invalid" {
			t.Errorf("%s is called %s: %v", config, i.name, i.invalid)
		}
	}
}

// TestRecordsAreTakenOver from the instance used last that has the same Redis and
// prefix.
func TestRecordsAreTakenOver(t *testing.T) {
	is := newTestInstances(t)
	now := time.Now()
	is.now = func() time.Time { now = now.Add(time.Millisecond); return now }
	var from *gateway.Gateway
	open := is.open
	is.open = func(cfg *schema.Config, o gateway.Options) (*gateway.Gateway, error) {
		from = o.From
		return open(cfg, o)
	}
	with := func(member string) *instance {
		return is.start([]byte(strings.Replace(goodConfig, `"__seq__":1`, member, 1)))
	}
	first := with(`"leeway":1`)
	if from != nil {
		t.Error("the first one has records from somewhere")
	}
	second := with(`"leeway":2`)
	if from != first.gateway {
		t.Error("the second one hasn't the records of the first")
	}
	with(`"prefix":"other:"`)
	if from != nil {
		t.Error("another prefix has records from somewhere")
	}
	is.find(second.id)
	is.find(first.id)
	with(`"leeway":3`)
	if from != first.gateway {
		t.Error("the last one hasn't the records of the one used last")
	}
}

// TestForgotten: a closed instance leaves no counts behind.
func TestForgotten(t *testing.T) {
	is := newTestInstances(t)
	scrape := scrapes(t, is)
	i := is.start([]byte(goodConfig))
	handle(t, &pdktest.Kong{}, "response", i.handleEvent)
	if !strings.Contains(scrape(), "m2m_outcomes_total{") {
		t.Error("nothing was counted")
	}
	is.now = func() time.Time { return time.Now().Add(2 * idleLimit) }
	is.start([]byte(observing))
	if strings.Contains(scrape(), "m2m_outcomes_total{") {
		t.Error("the counts stay")
	}
}

// scrapes gives instances metrics, and returns what scrapes them.
func scrapes(t *testing.T, is *instances) (scrape func() string) {
	t.Helper()
	is.observers.metrics = metrics.New(metrics.Build{}, is)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		is.observers.metrics.Serve(ctx, func() (net.Listener, error) { return listener, nil }, func(line string) { t.Error(line) })
	}()
	t.Cleanup(func() { end(); <-done })
	return func() string {
		t.Helper()
		resp, err := http.Get("http://" + listener.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), "m2m_instances ") {
			t.Fatalf("the scrape has no instances: %v\n%s", err, body)
		}
		return string(body)
	}
}
