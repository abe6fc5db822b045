package pdk

import (
	"net"
	"sync/atomic"
	"time"
)

// exits and passes are the instances of a fake plugin, by what the handlers of the
// tests do at the end of an event. hostile text calls both.
const (
	exits  int32 = 1
	passes int32 = 2
)

// fake is a plugin whose events are handled by a function.
type fake struct {
	handle           func(*Event)
	started, handled atomic.Int32
}

func (f *fake) StartInstance([]byte) Instance {
	f.started.Add(1)
	return Instance{ID: exits, Started: time.Unix(1_800_000_000, 0)}
}

func (f *fake) FindInstance(id int32) (Instance, bool) {
	return Instance{ID: id, Started: time.Unix(1_800_000_000, 0)}, id == exits || id == passes
}

func (f *fake) HandleEvent(e *Event) (known bool) {
	if _, known = f.FindInstance(e.Instance); known {
		f.handled.Add(1)
		f.handle(e)
	}
	return known
}

// serveConn returns what serves a connection by a handler.
func serveConn(handler func(*Event)) func(net.Conn) {
	return NewServer("fake", &fake{handle: handler}).ServeConn
}

// every chooses each header.
func every([]byte) bool { return true }

// noStore are headers of an answer.
var noStore = PrepareHeaders(map[string][]string{"Cache-Control": {"no-store"}, "ETag": {}})
