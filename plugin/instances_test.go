package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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

// TestUnusedInstancesGo: Kong never says that it no longer needs one.
func TestUnusedInstancesGo(t *testing.T) {
	is := newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	used, unused := is.start([]byte(goodConfig)), is.start([]byte(observing))
	now = now.Add(unusedAfter / 2)
	if is.start([]byte(observing)) != unused {
		t.Fatal("what was started half the time ago is gone")
	}
	for range 3 {
		now = now.Add(unusedAfter / 2)
		if is.find(used.id) != used {
			t.Fatal("the instance that is used is gone")
		}
	}
	is.start([]byte(strings.Replace(goodConfig, "/jwks", "/other", 1)))
	if is.find(unused.id) != nil || is.Instances() != 2 {
		t.Errorf("%d instances, with one that is unused", is.Instances())
	}
	if _, err := unused.running.records.Count(t.Context(), 1); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("what is unused stays open: %v", err)
	}
	again := is.start([]byte(observing))
	if again == unused || again.id != unused.id || again.running == unused.running {
		t.Error("what was unused isn't opened again")
	}
}

// TestReplacedInstancesGo: a reload gives a plugin another configuration; what
// the one before holds goes soon, unless another plugin has it as well.
func TestReplacedInstancesGo(t *testing.T) {
	is := newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	deliver := func(issuer, plugin string, sequence int) *instance {
		return is.start(fmt.Appendf(nil, `{"issuer":"https://%s.kinde.com",%s,"__seq__":%d,"__plugin_id":%q}`,
			issuer, strings.TrimSuffix(strings.TrimPrefix(goodConfig, `{"issuer":"https://example.kinde.com",`), `,"__seq__":1}`), sequence, plugin))
	}
	replaced, shared, lone := deliver("a", "one", 1), deliver("b", "two", 2), deliver("c", "three", 3)
	deliver("b", "four", 4)
	now = now.Add(time.Hour / 4)
	heir := deliver("d", "one", 5)
	deliver("d", "two", 6)
	if is.find(replaced.id) != replaced {
		t.Fatal("an event of the old configuration doesn't find its instance")
	}
	deliver("a", "one", 1) // a worker that still has such a request
	now = now.Add(overAfter + 999*time.Millisecond)
	if is.find(heir.id) != heir || is.Instances() != 4 {
		t.Fatalf("%d instances before the time is over", is.Instances())
	}
	now = now.Add(overAfter)
	if is.find(heir.id) != heir || is.Instances() != 3 {
		t.Errorf("%d instances when it is", is.Instances())
	}
	if _, err := replaced.running.records.Count(t.Context(), 1); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("what is replaced stays open: %v", err)
	}
	if is.find(shared.id) != shared || is.find(lone.id) != lone {
		t.Error("what is in use is gone")
	}
	if again := deliver("a", "one", 7); again == replaced || is.heirs.over(again) || is.heirs.over(heir) {
		t.Error("what was replaced isn't the plugin's again")
	}
	now = now.Add(unusedAfter)
	deliver("e", "one", 8)
	if is.Instances() != 2 || len(is.heirs) != 1 { // the one that was replaced now, too
		t.Errorf("%d instances and %d plugins are left", is.Instances(), len(is.heirs))
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
