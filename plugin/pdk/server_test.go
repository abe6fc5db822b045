package pdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/pdktest"
)

// served is a server with a socket.
type served struct {
	path  string
	end   context.CancelFunc
	ended chan error // has what Serve returned
}

// serve has a server serve a plugin until the test ends.
func serve(t *testing.T, plugin Plugin) *served {
	t.Helper()
	s := &served{path: filepath.Join(t.TempDir(), "s"), ended: make(chan error, 1)}
	listener, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	go func() { s.ended <- NewServer("fake", plugin).Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestCommands: Kong learns what the plugin says of its instances, and that it has
// none.
func TestCommands(t *testing.T) {
	conn := pdktest.Dial(t, serve(t, &fake{}).path)
	started := &kong_plugin_protocol.InstanceStatus{Name: "fake", InstanceId: exits, StartedAt: 1_800_000_000}
	for _, tt := range []struct {
		name string
		call proto.Message
		want *kong_plugin_protocol.InstanceStatus
	}{
		{"start", pdktest.Start(5, "fake", "{}"), started},
		{"status", pdktest.Status(5, exits), started},
		{"close", pdktest.Close(5, exits), started},
		{"status of an unknown one", pdktest.Status(5, 12345), nil},
	} {
		conn.Send(tt.call)
		if got := conn.Returned(5); !proto.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestUnknownInstance: the connection is closed, which makes Kong start it.
func TestUnknownInstance(t *testing.T) {
	conn := pdktest.Dial(t, serve(t, &fake{}).path)
	conn.Send(pdktest.Event(2, 12345, "access"))
	if frame, err := pdktest.ReadFrame(conn); err == nil {
		t.Errorf("got %q", frame)
	}
}

// TestEventsInOrder: an event that isn't answered ends in one write with what was
// said, and the connection serves the next event.
func TestEventsInOrder(t *testing.T) {
	var seen []Event
	conn := pdktest.Dial(t, serve(t, &fake{handle: func(e *Event) {
		seen = append(seen, *e)
		e.SetHeader("a", "b")
		e.ClearHeader("c")
	}}).path)
	for sequence, phase := range []string{"access", "response", "log"} {
		conn.Send(pdktest.Event(int64(sequence), passes, phase))
		k := &pdktest.Kong{}
		if err := k.Answer(conn, int64(sequence)); err != nil || len(k.Calls) != 2 || k.Exit != nil {
			t.Fatalf("calls %v, exit %v, %v", k.Calls, k.Exit, err)
		}
		if e := seen[sequence]; e.Phase != phase || e.Instance != passes {
			t.Errorf("phase %q of %d, want %q of %d", e.Phase, e.Instance, phase, passes)
		}
	}
}

// TestExitCloses: after an exit the server closes the connection as soon as Kong has
// replied to what came before it.
func TestExitCloses(t *testing.T) {
	for _, shared := range []int{0, 1, 2} {
		conn := pdktest.Dial(t, serve(t, &fake{handle: func(e *Event) {
			for range shared {
				e.Share("a", "b")
			}
			e.Exit(200, []byte("{}"), noStore)
		}}).path)
		conn.Send(pdktest.Event(2, exits, "access"))
		for n := range 2 * (shared + 1) { // a name and arguments for each call
			if _, err := pdktest.ReadFrame(conn); err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
		}
		for range shared {
			if _, err := conn.Write(make([]byte, 4)); err != nil { // a reply that says nothing
				t.Fatal(err)
			}
		}
		await.Nil(t, func() error {
			if _, err := conn.Write(nil); !errors.Is(err, syscall.EPIPE) {
				return fmt.Errorf("after %d calls and an exit: got %v, want a closed connection", shared, err)
			}
			return nil
		})
	}
}

// TestIdleGoroutines: some goroutines stay for further connections, and end with the
// server.
func TestIdleGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	s := serve(t, &fake{})
	atMost := func(most int) {
		t.Helper()
		await.Nil(t, func() error {
			if n := runtime.NumGoroutine(); n > most {
				return fmt.Errorf("%d goroutines, want at most %d", n, most)
			}
			return nil
		})
	}
	const others = 5 // the server's own, and the test's
	for range 3 {
		var conns []pdktest.Client
		for range 2 * maxIdle {
			conns = append(conns, pdktest.Dial(t, s.path))
		}
		for _, conn := range conns { // each keeps a goroutine busy
			conn.Send(pdktest.Status(5, exits))
			conn.Returned(5)
		}
		for _, conn := range conns {
			conn.Close()
		}
		atMost(before + maxIdle + others)
	}
	s.end()
	atMost(before + others)
}

// TestDrain: told to end, the server lets the event that runs end and closes
// the connections that are idle.
func TestDrain(t *testing.T) {
	s := serve(t, &fake{handle: func(e *Event) {
		if e.Phase == "response" {
			_, _ = e.Exchange(PrepareExchange(), every)
		}
	}})
	idle, busy := pdktest.Dial(t, s.path), pdktest.Dial(t, s.path)
	idle.Send(pdktest.Event(9, passes, "log"))
	idle.Ended()
	idle.Returned(9)
	busy.Send(pdktest.Event(2, passes, "response"))
	if _, err := pdktest.ReadFrame(busy); err != nil { // the event has started: a method's name
		t.Fatal(err)
	}
	s.end()
	if _, err := pdktest.ReadFrame(idle); err == nil {
		t.Error("an idle connection stays")
	}
	select {
	case err := <-s.ended:
		t.Fatalf("it has ended with an event under way: %v", err)
	default:
	}
	if _, err := pdktest.ReadFrame(busy); err != nil { // its arguments
		t.Fatal(err)
	}
	if _, err := busy.Write(make([]byte, 4)); err != nil { // the reply to it
		t.Fatal(err)
	}
	if err := (&pdktest.Kong{}).Answer(busy, 2); err != nil {
		t.Error(err)
	}
	err := <-s.ended
	if err != nil {
		t.Error(err)
	}
	s.ended <- nil
}
