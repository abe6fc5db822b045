package plugin

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/schema"
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

// withoutEnricher starts an instance whose response phase panics.
func withoutEnricher(t *testing.T, config string) *instance {
	is := newTestInstances(t)
	open := is.open
	is.open = func(cfg *schema.Config, o observers) (*runningConfig, error) {
		r, err := open(cfg, o)
		r.enricher = nil
		return r, err
	}
	return is.start([]byte(config))
}

// TestStartedOnce: what Kong delivers beside the configuration makes no other
// instance of it.
func TestStartedOnce(t *testing.T) {
	is := newTestInstances(t)
	first := is.start([]byte(goodConfig))
	again := is.start([]byte(strings.Replace(goodConfig, `"__seq__":1`, `"__seq__":2,"route_id":"x"`, 1)))
	if again != first {
		t.Error("one configuration has two instances")
	}
	other := is.start([]byte(observing))
	if other == first || other.running == first.running || is.Instances() != 2 || len(is.States()) != 2 {
		t.Errorf("two configurations have %d instances", is.Instances())
	}
	if is.find(first.id) != first || is.find(other.id) != other {
		t.Error("they aren't found")
	}
}

// TestSameID: two configurations whose ids would be the same are two instances.
func TestSameID(t *testing.T) {
	is := newTestInstances(t)
	id := newInstance(is, []byte(goodConfig)).id
	is.known[id] = &instance{all: is, id: id, used: time.Now()} // of another configuration
	first := is.start([]byte(goodConfig))
	if first.id != id+1 || first.running == nil || is.start([]byte(goodConfig)) != first {
		t.Errorf("it is %d, beside %d", first.id, id)
	}
}

// TestForgotten: an instance that is gone leaves no counts behind.
func TestForgotten(t *testing.T) {
	is := newTestInstances(t)
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
	defer func() { end(); <-done }()
	counted := func() bool {
		resp, err := http.Get("http://" + listener.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), "m2m_instances ") {
			t.Fatalf("the scrape has no instances: %v", err)
		}
		return strings.Contains(string(body), "m2m_outcomes_total{")
	}
	i := is.start([]byte(goodConfig))
	(&kongSide{}).handle(t, func(k *kong) { i.phase("response", k) })
	if !counted() {
		t.Error("nothing was counted")
	}
	is.now = func() time.Time { return time.Now().Add(2 * unusedAfter) }
	is.start([]byte(observing))
	if counted() {
		t.Error("the counts stay")
	}
}
