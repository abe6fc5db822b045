package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
)

// busy is how many clients ask at once in these tests.
const busy = 8

// standIn skips the test on a real Kong, which doesn't show the plugin's process.
func (w *world) standIn() *kongtest.StandIn {
	w.Helper()
	g, ok := w.gateway.(*kongtest.StandIn)
	if !ok {
		w.Skip("only the stand-in shows the plugin's process")
	}
	return g
}

// TestPluginKilledUnderLoad: a process that is killed costs the requests under
// way, at most one of each connection, and those that Kong itself refuses until
// the next process listens. No other request fails, and no token is wrong.
func TestPluginKilledUnderLoad(t *testing.T) {
	w := newWorld(t, nil)
	g := w.standIn()
	load := w.startTraffic(busy)
	load.serves(5 * busy)
	before := g.PluginPID()
	killed := time.Now()
	g.KillPlugin()
	recovered := load.servesAfter(time.Now())
	if pid := g.PluginPID(); pid == before || pid == 0 {
		t.Errorf("got process %d after %d, want a new one", pid, before)
	}
	load.serves(5 * busy)
	load.end()
	underWay := 0
	for _, f := range load.failures {
		var refusal *measure.Refusal
		switch {
		case !errors.As(f.err, &refusal) || refusal.Status != 500 || !strings.Contains(string(refusal.Body), "An unexpected error occurred"):
			t.Errorf("not Kong's own refusal: %v", f.err)
		case f.ended.Before(killed) || f.begun.After(recovered):
			t.Errorf("the plugin runs, but a request from %v to %v after it was killed failed: %v", f.begun.Sub(killed), f.ended.Sub(killed), f.err)
		case f.begun.Before(killed):
			underWay++
		}
	}
	if underWay > busy {
		t.Errorf("%d requests under way failed, want at most %d", underWay, busy)
	}
	t.Logf("recovered after %v; %d requests under way failed and %d that came then; %d were served",
		recovered.Sub(killed), underWay, len(load.failures)-underWay, load.served)
}

// TestProcessReloadUnderLoad: as on kong reload, the new process takes over the
// socket while the old one runs, which is ended later. No request fails. The
// metrics' address is the old one's for as long as it runs, then the new one's.
func TestProcessReloadUnderLoad(t *testing.T) {
	w := build(t, nil)
	address := loopback(t)
	w.flags = []string{"-metrics", address}
	w.start()
	g := w.standIn()
	load := w.startTraffic(busy)
	for range 2 {
		load.serves(5 * busy)
		end, err := g.RestartPlugin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		load.serves(5 * busy) // by both
		if err := end(); err != nil {
			t.Error(err)
		}
		load.serves(5 * busy)
		w.eventually(func() error { return measured(address) })
	}
	load.endWithoutFailure()
	t.Logf("%d were served", load.served)
}

// measured fails unless a scrape of address counts enriched tokens.
func measured(address string) error {
	_, text, err := get("http://" + address + "/metrics")
	if err == nil && !strings.Contains(text, `outcome="enriched"}`) {
		err = fmt.Errorf("no token is counted in %s", text)
	}
	return err
}
