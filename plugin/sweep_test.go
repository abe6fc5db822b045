package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/test/await"
)

// withClock returns instances whose time passes only by advance.
func withClock(t *testing.T) (is *instances, advance func(time.Duration)) {
	is = newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	return is, func(d time.Duration) { now = now.Add(d) }
}

// wantInstances fails unless so many instances are known.
func (is *instances) wantInstances(t *testing.T, want int) {
	t.Helper()
	if got := is.Instances(); got != want {
		t.Errorf("%d instances, want %d", got, want)
	}
}

// TestIdleInstanceCloses: Kong never says that it no longer needs one.
func TestIdleInstanceCloses(t *testing.T) {
	is, advance := withClock(t)
	good, _ := able(t)
	observing := strings.Replace(good, `"__seq__"`, `"mode":"observe","__seq__"`, 1)
	used, idle := ready(t, is.start([]byte(good))), ready(t, is.start([]byte(observing)))
	advance(idleLimit / 2)
	if is.start([]byte(observing)) != idle {
		t.Fatal("an instance was closed that Kong started half the time ago")
	}
	for range 3 {
		advance(idleLimit / 2)
		if is.find(used.id) != used {
			t.Fatal("an instance was closed that is used")
		}
	}
	if is.find(idle.id) != nil {
		t.Error("the idle instance is still known")
	}
	is.wantInstances(t, 1)
	await.Nil(t, idle.closed)
	if again := is.start([]byte(observing)); again == idle || again.id == idle.id || again.gateway == idle.gateway {
		t.Error("the idle instance isn't opened again, under an id of its own")
	}
}

// TestReplacedInstanceCloses: after a reload the previous configuration of a plugin
// is closed soon, unless another plugin still has it.
func TestReplacedInstanceCloses(t *testing.T) {
	is, advance := withClock(t)
	good, _ := able(t)
	deliver := func(issuer, plugin string, sequence int) *instance {
		return ready(t, is.start(fmt.Appendf(nil, `{"issuer":"https://%s.kinde.com",%s,"__seq__":%d,"__plugin_id":%q}`,
			issuer, strings.TrimSuffix(strings.TrimPrefix(good, `{"issuer":"https://example.kinde.com",`), `,"__seq__":1}`), sequence, plugin)))
	}
	old, shared, other := deliver("a", "one", 1), deliver("b", "two", 2), deliver("c", "three", 3)
	deliver("b", "four", 4)
	replacement := deliver("d", "one", 5)
	deliver("d", "two", 6)
	advance(replacedLimit - 1)
	if deliver("a", "one", 1) != old { // a worker still has a request of the old configuration
		t.Fatal("the old configuration was closed within the limit")
	}
	advance(replacedLimit - 1)
	is.find(replacement.id)
	is.wantInstances(t, 4)
	advance(sweepInterval)
	is.find(replacement.id)
	is.wantInstances(t, 3)
	await.Nil(t, old.closed)
	if is.find(shared.id) != shared || is.find(other.id) != other {
		t.Error("an instance was closed that a plugin has")
	}
	late := deliver("a", "one", 1) // a request that waited for long starts it again
	advance(replacedLimit)
	if is.find(replacement.id) != replacement || is.find(late.id) != nil {
		t.Error("the old configuration is still known")
	}
	if again := deliver("a", "one", 7); is.replaced(again) || is.replaced(replacement) { // which plugin two has
		t.Error("a configuration counts as replaced that a plugin has")
	}
	deliver("e", "two", 8)
	if !is.replaced(replacement) {
		t.Error("a configuration doesn't count as replaced that no plugin has")
	}
}

// able is a configuration that can enrich, with a provider and a key in a file.
func able(t *testing.T) (config, file string) {
	t.Helper()
	ring, err := jws.ParseRing(fmt.Appendf(nil, `{"keys":[%s]}`, generated(t)))
	if err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ring.PublicSet()) }))
	t.Cleanup(provider.Close)
	file = filepath.Join(t.TempDir(), "keys.json")
	writeKey(t, file)
	return strings.NewReplacer("http://127.0.0.1:1/jwks", provider.URL+"/jwks", "/nonexistent/keys.json", file).Replace(goodConfig), file
}

// generated is a private JWK.
func generated(t *testing.T) json.RawMessage {
	t.Helper()
	text, err := jws.Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

func writeKey(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"keys":[%s]}`, generated(t)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ready waits until an instance can enrich.
func ready(t *testing.T, i *instance) *instance {
	t.Helper()
	await.Nil(t, func() error { return i.gateway.NotReady() })
	return i
}

// closed returns an error unless the instance's connections are closed.
func (i *instance) closed() error {
	if _, err := i.gateway.Records.Count(context.Background(), 1); !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("it stays open: %v", err)
	}
	return nil
}

// TestUnableInstanceCloses: a reload may have fixed one that can't enrich, and no
// request brought the new configuration yet. One that is busy stays.
func TestUnableInstanceCloses(t *testing.T) {
	is, advance := withClock(t)
	invalid, keyless := is.start([]byte("{")), is.start([]byte(goodConfig))
	busy := is.start([]byte(observing))
	busy.busy.Add(1)
	advance(replacedLimit - 1)
	if n := len(is.States()); n != 2 {
		t.Errorf("%d states within the limit, want 2", n)
	}
	is.wantInstances(t, 3)
	advance(sweepInterval)
	if states := is.States(); len(states) != 1 || states[0].Config != busy.name {
		t.Errorf("states %v, want one of the busy instance", states)
	}
	if is.find(invalid.id) != nil || is.find(keyless.id) != nil {
		t.Error("they are still known")
	}
	busy.busy.Add(-1)
	advance(sweepInterval)
	if n := len(is.States()); n != 0 {
		t.Errorf("%d states when none is busy, want 0", n)
	}
}

// TestReadyWithoutRequests: who asks whether it is ready makes it try, since no
// request may come before it is.
func TestReadyWithoutRequests(t *testing.T) {
	good, file := able(t)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	is := newTestInstances(t)
	i := is.start([]byte(good))
	await.True(t, "end of the first try", func() bool {
		fetched, _ := i.gateway.Provider.KeysState() // after it looked for the key
		return !fetched.IsZero()
	})
	if err := is.States()[0].NotReady; err == nil {
		t.Fatal("ready without a key")
	}
	writeKey(t, file)
	await.Nil(t, func() error { return is.States()[0].NotReady })
}
