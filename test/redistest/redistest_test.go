package redistest_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/redistest"
)

func TestRestart(t *testing.T) {
	server := redistest.Start(t)
	client, port := server.Client(), server.Port()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if server.Port() != port {
		t.Errorf("port %d became %d", port, server.Port())
	}
	if err := client.Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("a key survived: %v", err)
	}
	server.Stop()
	server.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("it answers although it is stopped")
	}
}

func TestPause(t *testing.T) {
	server := redistest.Start(t)
	server.Pause()
	answered := make(chan error, 1)
	go func() { answered <- server.Client().Ping(t.Context()).Err() }()
	select {
	case err := <-answered:
		t.Errorf("it answers while it is paused: %v", err)
	default:
	}
	server.Resume()
	if err := <-answered; err != nil {
		t.Error(err)
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
				t.Errorf("got %q", w.said)
			}
		})
	}
}
