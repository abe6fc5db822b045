package kongtest

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
)

func exiting() map[string]func(*pdk.PDK) {
	return map[string]func(*pdk.PDK){"access": func(k *pdk.PDK) { k.Response.Exit(200, []byte("done"), nil) }}
}

func passing() map[string]func(*pdk.PDK) {
	return map[string]func(*pdk.PDK){"access": func(*pdk.PDK) {}}
}

func TestEveryWorkerHasItsInstance(t *testing.T) {
	plugin := &fakePlugin{handlers: exiting()}
	a := newArena(t, plugin, answer(""))
	if n := plugin.startCount(); n != 0 {
		t.Errorf("%d instances before the first request", n)
	}
	for range 6 {
		a.expect("GET", "/oauth2/token", 200, "done")
	}
	seqs := map[float64]bool{}
	for _, config := range plugin.starts {
		var delivered map[string]any
		if err := json.Unmarshal([]byte(config), &delivered); err != nil {
			t.Fatal(err)
		}
		seqs[delivered["__seq__"].(float64)] = true
	}
	if len(plugin.starts) != 2 || len(seqs) != 2 {
		t.Errorf("instances: %v", plugin.starts)
	}
}

func TestUnknownInstanceIsStartedAgain(t *testing.T) {
	plugin := &fakePlugin{handlers: exiting()}
	a := newArena(t, plugin, answer(""))
	for range 4 {
		a.expect("GET", "/oauth2/token", 200, "done")
	}
	plugin.forget()
	for range 4 {
		a.expect("GET", "/oauth2/token", 200, "done")
	}
	if n := plugin.startCount(); n != 4 {
		t.Errorf("%d instances, want 4", n)
	}
}

func TestRefusedStartIsNotRetried(t *testing.T) {
	plugin := &fakePlugin{handlers: exiting(), refuse: true}
	a := newArena(t, plugin, answer(""))
	a.expect("GET", "/oauth2/token", 500, `"message":"An unexpected error occurred"`)
	if n := plugin.startCount(); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestClosingInAnEventIsRetriedWithoutEnd(t *testing.T) {
	plugin := &fakePlugin{raw: func(conn net.Conn) { conn.Close() }}
	a := newArena(t, plugin, answer(""))
	a.expect("GET", "/oauth2/token", 500, "An unexpected error occurred")
	if n := plugin.startCount(); n != maxRetries {
		t.Errorf("%d instances, want %d", n, maxRetries)
	}
}

func TestSlowHandlerIsCutOff(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){"access": func(*pdk.PDK) { <-stop }}}
	s, err := newStandIn(Options{Config: tokenRoute("http://127.0.0.1:1")}, probe("access"), listenUnix(t, plugin.serve), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := &arena{StandIn: s, t: t, client: newClient(t)}
	a.expect("GET", "/oauth2/token", 500, "An unexpected error occurred")
	if !strings.Contains(a.Log(), "took longer") {
		t.Errorf("log: %s", a.Log())
	}
}

func TestReloadStartsInstancesAgain(t *testing.T) {
	plugin := &fakePlugin{handlers: passing()}
	config := tokenRoute("http://127.0.0.1:1")
	a := newArenaWith(t, plugin, config)
	for range 2 {
		a.expect("GET", "/oauth2/token", 502, "")
	}
	if err := a.Reload([]byte("{")); err == nil {
		t.Error("a broken configuration was accepted")
	}
	if err := a.Reload(config); err != nil { // identical
		t.Fatal(err)
	}
	for range 2 {
		a.expect("GET", "/oauth2/token", 502, "")
	}
	if n := plugin.startCount(); n != 4 {
		t.Errorf("%d instances, want 4", n)
	}
	if want := []int32{1, 2, 0, 3, 0, 4}; !slices.Equal(plugin.events, want) {
		t.Errorf("events for %v, want %v", plugin.events, want)
	}
}

func TestReloadChangesRoutes(t *testing.T) {
	a := newArena(t, &fakePlugin{}, answer("here"))
	a.expect("GET", "/oauth2/token", 200, "here")
	if err := a.Reload([]byte(`_format_version: "3.0"`)); err != nil {
		t.Fatal(err)
	}
	res := a.expect("GET", "/oauth2/token", 404, `"message":"no Route matched with those values"`)
	if res.Header.Get("Server") != kongVersion {
		t.Errorf("headers %v", res.Header)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	plugin := &fakePlugin{handlers: passing()}
	a := newArena(t, plugin, answer("ok"))
	for range 10 {
		a.expect("GET", "/oauth2/token", 200, "ok")
	}
	if plugin.conns != 2 { // one a worker
		t.Errorf("%d connections", plugin.conns)
	}
}

func TestParallelRequestsAndReloads(t *testing.T) {
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){
		"access":   func(k *pdk.PDK) { k.Ctx.SetShared("a", nil) },
		"response": func(k *pdk.PDK) { k.Response.Exit(200, []byte("done"), nil) },
		"log":      func(k *pdk.PDK) { k.Log.Notice("logged") },
	}}
	up := answer("ok")
	a := newArena(t, plugin, up)
	config := tokenRoute(a.generation.Load().services[0].url.String())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				a.expect("GET", "/oauth2/token", 200, "done")
			}
		})
	}
	all.Go(func() {
		for range 10 {
			if err := a.Reload(config); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
}
