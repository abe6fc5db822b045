package redistest_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"m2m-token-enricher/test/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a server that has v at k.
func start(t *testing.T) *redistest.Server {
	t.Helper()
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestRestart(t *testing.T) {
	server := start(t)
	port := server.Port()
	server.Restart()
	if server.Port() != port {
		t.Errorf("got port %d after a restart, want %d", server.Port(), port)
	}
	if err := server.Client().Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("a key survived a restart: %v", err)
	}
	server.Stop()
	server.Stop()
	if err := server.Client().Ping(t.Context()).Err(); err == nil {
		t.Error("it answers although it is stopped")
	}
}

func TestRestartLoading(t *testing.T) {
	server := start(t)
	const d = time.Second // a late machine must still meet it
	server.RestartLoading(d)
	start := time.Now()
	if err := server.Client().Get(t.Context(), "k").Err(); !redis.HasErrorPrefix(err, "LOADING") {
		t.Errorf("while it loads: got %v, want LOADING", err)
	}
	server.WaitLoaded()
	if took := time.Since(start); took < d/3 {
		t.Errorf("it loaded for %v, want about %v", took, d)
	}
	wantValue(t, server.Client(), "k", "v")
	keys, _, err := server.Client().Scan(t.Context(), 0, "*", 1000).Result()
	if err != nil || len(keys) != 1 {
		t.Errorf("it has %q, %v, want k alone", keys, err)
	}
}

// without is a test in which redis-server isn't installed.
type without struct {
	testing.TB
	said string
}

func (w *without) Helper()           {}
func (w *without) Skip(args ...any)  { w.end("skip", args) }
func (w *without) Fatal(args ...any) { w.end("fatal", args) }

func (w *without) end(how string, args []any) {
	w.said = how + ": " + args[0].(string)
	panic(w)
}

func TestNotInstalled(t *testing.T) {
	for ci, want := range map[string]string{"": "skip: ", "true": "fatal: "} {
		t.Run("CI="+ci, func(t *testing.T) {
			t.Setenv("CI", ci)
			t.Setenv("PATH", os.DevNull)
			w := &without{}
			func() {
				defer func() { _ = recover() }()
				redistest.Start(w)
			}()
			if !strings.HasPrefix(w.said, want) || !strings.Contains(w.said, "apt-get install redis-server") {
				t.Errorf("got %q, want %q and how to install it", w.said, want)
			}
		})
	}
}
