package plugin

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/pdktest"
)

// TestOpenedAtOnce: while a configuration opens, which takes time with a workflow,
// other events run. Workers that start it at the same time get one instance, and
// what the others opened is closed.
func TestOpenedAtOnce(t *testing.T) {
	is := newTestInstances(t)
	other := is.start([]byte(observing))
	const workers = 4
	var opening sync.WaitGroup
	opening.Add(workers)
	proceed := make(chan struct{})
	var mu sync.Mutex
	var opened []*gateway.Gateway
	open := is.open
	is.open = func(cfg *schema.Config, o gateway.Options) (*gateway.Gateway, error) {
		opening.Done()
		<-proceed
		g, err := open(cfg, o)
		mu.Lock()
		defer mu.Unlock()
		opened = append(opened, g)
		return g, err
	}
	var started sync.WaitGroup
	got := make([]*instance, workers)
	for w := range workers {
		started.Go(func() { got[w] = is.start([]byte(goodConfig)) })
	}
	opening.Wait()
	if is.find(other.id) != other {
		t.Error("another instance isn't found meanwhile")
	}
	handle(t, &pdktest.Kong{}, "response", other.handleEvent)
	close(proceed)
	started.Wait()
	for w, i := range got {
		if i != got[0] || i.id == 0 || is.find(i.id) != i {
			t.Errorf("worker %d got instance %d, want the known one %d", w, i.id, got[0].id)
		}
	}
	is.wantInstances(t, 2)
	for _, g := range opened {
		if g != got[0].gateway {
			await.Nil(t, (&instance{gateway: g}).closed)
		}
	}
	if err := got[0].closed(); err == nil {
		t.Error("the instance that stayed is closed")
	}
}

// TestOpenFails: a configuration that can't be opened, such as one whose workflow has
// errors, starts once for all workers. Each of its errors is in the log once.
func TestOpenFails(t *testing.T) {
	is := newTestInstances(t)
	opens := 0
	is.open = func(*schema.Config, gateway.Options) (*gateway.Gateway, error) {
		opens++
		return nil, errors.Join(errors.New("config.workflow.path: a.ts:1:2: one"), errors.New("config.workflow.path: a.ts:3:4: two"))
	}
	i := is.start([]byte(goodConfig))
	if again := is.start([]byte(strings.Replace(goodConfig, `"__seq__":1`, `"__seq__":2`, 1))); again != i || opens != 1 {
		t.Errorf("opened %d times as %d and %d, want one instance", opens, i.id, again.id)
	}
	for _, phase := range []string{"access", "response"} {
		k := &pdktest.Kong{}
		handle(t, k, phase, i.handleEvent)
		checkInternalError(t, k)
		for _, want := range []string{"a.ts:1:2: one", "a.ts:3:4: two"} {
			if n := strings.Count(strings.Join(k.Log, "\n"), want); n != 1 {
				t.Errorf("%s is in the log %d times, want once: %q", want, n, k.Log)
			}
		}
	}
	is.now = func() time.Time { return time.Now().Add(2 * replacedLimit) }
	is.find(0) // any event
	if is.find(i.id) != nil {
		t.Error("it stays although a reload may have fixed it")
	}
}

// TestOpenedAgain: an instance that can't be opened doesn't stay because of its events.
// Kong starts it again, and what it lacked may be there, such as a workflow's file.
func TestOpenedAgain(t *testing.T) {
	is, advance := withClock(t)
	open, missing := is.open, true
	is.open = func(cfg *schema.Config, o gateway.Options) (*gateway.Gateway, error) {
		if missing {
			return nil, errors.New("config.workflow.path: no such file")
		}
		return open(cfg, o)
	}
	failed := is.start([]byte(goodConfig))
	missing = false
	busy := is.use(failed.id) // an event that runs all the time
	defer busy.busy.Add(-1)
	for range replacedLimit/time.Second - 1 {
		advance(time.Second)
		if is.find(failed.id) != failed || is.start([]byte(goodConfig)) != failed {
			t.Fatal("an instance that can't be opened is opened again at once")
		}
	}
	advance(sweepInterval)
	if again := is.start([]byte(goodConfig)); again == failed || again.gateway == nil || is.find(again.id) != again {
		t.Error("it isn't opened again")
	}
}
