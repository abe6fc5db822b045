package kongtest

import (
	"bufio"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// fakePlugin is a plugin server within the test.
type fakePlugin struct {
	handlers map[string]func(*pdk.PDK) // by phase; a missing one does nothing
	raw      func(net.Conn)            // instead of handlers
	refuse   bool                      // every start_instance

	mu     sync.Mutex
	starts []string       // configurations, as delivered
	known  map[int32]bool // instances
	events []int32        // instances that events came for
	conns  int
}

func (p *fakePlugin) serve(conn net.Conn) {
	p.mu.Lock()
	p.conns++
	p.mu.Unlock()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	for {
		data, err := readFrame(in)
		if err != nil {
			return
		}
		call := &kong_plugin_protocol.RpcCall{}
		if proto.Unmarshal(data, call) != nil {
			return
		}
		reply := &kong_plugin_protocol.RpcReturn{Sequence: call.Sequence}
		if start := call.GetCmdStartInstance(); start != nil {
			id, ok := p.start(string(start.Config))
			if !ok {
				return
			}
			reply.Return = &kong_plugin_protocol.RpcReturn_InstanceStatus{
				InstanceStatus: &kong_plugin_protocol.InstanceStatus{InstanceId: id},
			}
		} else if !p.event(call.GetCmdHandleEvent(), conn) {
			return
		}
		if writeMessage(conn, reply) != nil {
			return
		}
	}
}

func (p *fakePlugin) start(config string) (id int32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts = append(p.starts, config)
	if p.refuse {
		return 0, false
	}
	if p.known == nil {
		p.known = map[int32]bool{}
	}
	id = int32(len(p.starts))
	p.known[id] = true
	return id, true
}

func (p *fakePlugin) event(e *kong_plugin_protocol.CmdHandleEvent, conn net.Conn) bool {
	p.mu.Lock()
	p.events = append(p.events, e.InstanceId)
	known := p.known[e.InstanceId]
	p.mu.Unlock()
	if !known {
		return false
	}
	if p.raw != nil {
		p.raw(conn)
	} else if handler := p.handlers[e.EventName]; handler != nil {
		handler(pdk.Init(conn))
	}
	return writeFrame(conn, nil) == nil
}

// forget makes every instance unknown.
func (p *fakePlugin) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = nil
}

func (p *fakePlugin) startCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.starts)
}

// phases are those that the plugin handles.
func (p *fakePlugin) phases() (list []string) {
	for phase := range p.handlers {
		list = append(list, phase)
	}
	if p.raw != nil {
		list = append(list, "response")
	}
	return list
}
