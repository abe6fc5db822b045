package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/test/await"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestUnusedInstancesGo: Kong never says that it no longer needs one.
func TestUnusedInstancesGo(t *testing.T) {
	is := newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	good, _ := able(t)
	observing := strings.Replace(good, `"__seq__"`, `"mode":"observe","__seq__"`, 1)
	used, unused := awaken(t, is.start([]byte(good))), awaken(t, is.start([]byte(observing)))
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
	is.start([]byte(strings.Replace(good, "/jwks", "/other", 1)))
	if is.find(unused.id) != nil || is.Instances() != 2 {
		t.Errorf("%d instances, with one that is unused", is.Instances())
	}
	await.Nil(t, unused.closed)
	again := is.start([]byte(observing))
	if again == unused || again.id == unused.id || again.running == unused.running {
		t.Error("what was unused isn't opened again, under an id of its own")
	}
}

// TestReplacedInstancesGo: a reload gives a plugin another configuration; what
// the one before holds goes soon, unless another plugin has it as well.
func TestReplacedInstancesGo(t *testing.T) {
	is := newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	good, _ := able(t)
	deliver := func(issuer, plugin string, sequence int) *instance {
		return awaken(t, is.start(fmt.Appendf(nil, `{"issuer":"https://%s.kinde.com",%s,"__seq__":%d,"__plugin_id":%q}`,
			issuer, strings.TrimSuffix(strings.TrimPrefix(good, `{"issuer":"https://example.kinde.com",`), `,"__seq__":1}`), sequence, plugin)))
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
	now = now.Add(overAfter - time.Second)
	if is.find(heir.id) != heir || is.Instances() != 4 {
		t.Fatalf("%d instances before the time is over", is.Instances())
	}
	now = now.Add(overAfter)
	if is.find(heir.id) != heir || is.Instances() != 3 {
		t.Errorf("%d instances when it is", is.Instances())
	}
	await.Nil(t, replaced.closed)
	if is.find(shared.id) != shared || is.find(lone.id) != lone {
		t.Error("what is in use is gone")
	}
	late := deliver("a", "one", 1) // a request that waited for long brings it back
	now = now.Add(overAfter)
	if is.find(heir.id) != heir || is.find(late.id) != nil {
		t.Error("what was over when it began stays")
	}
	if again := deliver("a", "one", 7); again == replaced || is.replaced(again) || is.replaced(heir) {
		t.Error("what was replaced isn't the plugin's again")
	}
	now = now.Add(unusedAfter)
	deliver("e", "one", 8)
	if is.Instances() != 2 || len(is.heirs) != 1 { // the one that was replaced now, too
		t.Errorf("%d instances and %d plugins are left", is.Instances(), len(is.heirs))
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

// awaken waits until an instance can enrich.
func awaken(t *testing.T, i *instance) *instance {
	t.Helper()
	await.Nil(t, func() error { return i.running.NotReady() })
	return i
}

// closed returns an error unless the instance's connections are closed.
func (i *instance) closed() error {
	if _, err := i.running.Records.Count(context.Background(), 1); !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("it stays open: %v", err)
	}
	return nil
}

// TestUnableInstancesGo: one that can't enrich may have been mended by a
// configuration that no request brought yet; one that is busy stays.
func TestUnableInstancesGo(t *testing.T) {
	is := newTestInstances(t)
	now := time.Unix(1_800_000_000, 0)
	is.now = func() time.Time { return now }
	wrong, keyless := is.start([]byte("{")), is.start([]byte(goodConfig))
	busy := is.start([]byte(observing))
	busy.busy.Add(1)
	now = now.Add(overAfter - time.Second)
	if len(is.States()) != 2 || is.Instances() != 3 {
		t.Errorf("%d instances before the time is over", is.Instances())
	}
	now = now.Add(overAfter / 6)
	if states := is.States(); len(states) != 1 || is.Instances() != 1 || states[0].Config != busy.name() {
		t.Errorf("%v are left when it is", states)
	}
	if is.find(wrong.id) != nil || is.find(keyless.id) != nil {
		t.Error("they are found")
	}
	busy.busy.Add(-1)
	now = now.Add(overAfter / 6)
	if len(is.States()) != 0 {
		t.Error("what was busy stays")
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
		fetched, _ := i.running.Provider.KeysState() // after it looked for the key
		return !fetched.IsZero()
	})
	if err := is.States()[0].NotReady; err == nil {
		t.Fatal("ready without a key")
	}
	writeKey(t, file)
	await.Nil(t, func() error { return is.States()[0].NotReady })
}
