package plugin

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/plugin/socket"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/pdktest"
)

// serve serves a plugin until the test ends, and returns its socket's path.
func serve(t *testing.T, plugin pdk.Plugin) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	listener, err := socket.Listen(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pdk.NewServer(Name, plugin).Serve(ctx, listener) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

// TestInstances: a configuration is one instance whoever starts it and however
// often; another one is another.
func TestInstances(t *testing.T) {
	conn := pdktest.Dial(t, serve(t, newTestInstances(t)))
	first := conn.Start(Name, goodConfig)
	if again := conn.Start(Name, strings.Replace(goodConfig, `"__seq__":1`, `"__seq__":2,"route_id":"x"`, 1)); again != first {
		t.Errorf("%d and %d for one configuration", first, again)
	}
	if other := conn.Start(Name, observing); other == first {
		t.Errorf("%d for two configurations", other)
	}
	for _, command := range []pdktest.Message{
		pdktest.Status(5, first),
		pdktest.Close(5, first),
		pdktest.Status(5, first),
	} { // one worker's close ends nothing for the others
		conn.Send(command)
		if id := conn.Returned(5).GetInstanceId(); id != first {
			t.Errorf("instance %d", id)
		}
	}
}

// TestUnknownInstance: the connection is closed, which makes Kong start it.
func TestUnknownInstance(t *testing.T) {
	conn := pdktest.Dial(t, serve(t, newTestInstances(t)))
	conn.Send(pdktest.Event(2, 12345, "access"))
	if frame, err := pdktest.ReadFrame(conn); err == nil {
		t.Errorf("got %q", frame)
	}
}

// TestUnknownPhase: an event that doesn't concern the plugin ends properly.
func TestUnknownPhase(t *testing.T) {
	conn := pdktest.Dial(t, serve(t, newTestInstances(t)))
	id := conn.Start(Name, goodConfig)
	conn.Send(pdktest.Event(2, id, "log"))
	conn.Ended()
	conn.Returned(2)
	conn.Start(Name, goodConfig) // the connection still works
}

// TestBusy: an instance is busy while an event runs in it, and no longer.
func TestBusy(t *testing.T) {
	is := newTestInstances(t)
	conn := pdktest.Dial(t, serve(t, is))
	id := conn.Start(Name, observing)
	i := is.find(id)
	conn.Send(pdktest.Event(2, id, "response"))
	if _, err := pdktest.ReadFrame(conn); err != nil { // the event has started: a method's name
		t.Fatal(err)
	}
	if n := i.busy.Load(); n != 1 {
		t.Errorf("%d events during one", n)
	}
	if _, err := pdktest.ReadFrame(conn); err != nil { // its arguments
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 4)); err != nil { // the reply to it
		t.Fatal(err)
	}
	if err := (&pdktest.Kong{}).Answer(conn, 2); err != nil {
		t.Fatal(err)
	}
	if n := i.busy.Load(); n != 0 { // the event ended before Kong got its return
		t.Errorf("%d events after one", n)
	}
}

// FuzzFrames: whatever comes over the socket, the server lives and answers the
// next connection.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 8, 1, 8, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0})
	for _, m := range []pdktest.Message{pdktest.Event(1, 7, "response"), pdktest.Start(1, Name, "{}")} {
		f.Add(pdktest.Frame(m))
	}
	started := newInstances()
	started.known[7] = &instance{id: 7, all: started, invalid: errors.New("no configuration")}
	server := pdk.NewServer(Name, started)
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs := pdktest.Sockets(t)
		done := make(chan struct{})
		go func() { defer close(done); server.ServeConn(theirs) }()
		if err := ours.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Write(sent); err == nil {
			_ = ours.(*net.UnixConn).CloseWrite()
		}
		buffer := make([]byte, 1<<16)
		for {
			if _, err := ours.Read(buffer); err != nil {
				break
			}
		}
		ours.Close()
		<-done
	})
}

// TestMetricsSocketUsers: only -metrics-user lets other users scrape.
func TestMetricsSocketUsers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports who connects")
	}
	for _, tt := range []struct {
		name    string
		options Options
		mode    os.FileMode
	}{
		{"-socket-user only", Options{SocketUsers: []uint32{1}}, 0o600},
		{"-metrics-user", Options{MetricsUsers: []uint32{1}}, 0o666},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Metrics = filepath.Join(t.TempDir(), "metrics")
			defer newTestInstances(t).startObservers(t.Context(), tt.options)()
			await.Nil(t, func() error {
				info, err := os.Stat(tt.options.Metrics)
				if err == nil && info.Mode().Perm() != tt.mode {
					t.Errorf("mode %v, want %v", info.Mode().Perm(), tt.mode)
				}
				return err
			})
		})
	}
}
