// Package pdk speaks the protocol between Kong and a plugin in a process of its own:
// frames on a Unix socket with the messages of go-pdk. It doesn't know what the
// plugin does. A server takes Kong's calls, and a handler asks Kong through an Event.
package pdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// drainTime is how long a server that ends waits for the events that run.
const drainTime = 10 * time.Second

// maxIdle is how many goroutines wait for connections at most.
const maxIdle = 64

// Plugin is what a server serves. Many goroutines use it at a time.
type Plugin interface {
	// StartInstance starts an instance of the plugin with the configuration that
	// Kong delivers, a JSON object. It may return one that was started before.
	StartInstance(config []byte) Instance

	// FindInstance returns the instance called id, and false if there is none.
	FindInstance(id int32) (Instance, bool)

	// HandleEvent handles an event, with or without an answer to the client. It
	// returns false, and asks nothing, if it doesn't know the event's instance: Kong
	// then starts one and repeats the event. It must not panic.
	HandleEvent(e *Event) (known bool)
}

// Instance is what Kong needs to know of an instance.
type Instance struct {
	ID      int32 // not 0, which Kong takes for none
	Started time.Time
}

// Server answers Kong's calls, on each connection in a goroutine of its own.
type Server struct {
	name   string
	plugin Plugin

	mu    sync.Mutex
	conns map[net.Conn]bool // whether it is in the middle of a call
	ended bool
	wait  sync.WaitGroup

	idle atomic.Int32 // goroutines that wait for a connection
}

// NewServer returns a server of the plugin that Kong knows by name.
func NewServer(name string, plugin Plugin) *Server {
	return &Server{name: name, plugin: plugin, conns: map[net.Conn]bool{}}
}

// Serve accepts connections until ctx ends, and returns when the calls that run
// have ended, or 10 s later. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	err := s.accept(ctx, listener)
	if ctx.Err() == nil {
		return errors.Join(fmt.Errorf("accept Kong's connections: %w", err), listener.Close())
	}
	s.drain()
	return nil
}

// accept hands each connection to a goroutine that waits for one, or starts one:
// every exit costs a connection, and a new goroutine would grow its stack anew.
func (s *Server) accept(ctx context.Context, listener net.Listener) error {
	conns := make(chan net.Conn)
	defer close(conns)
	for {
		conn, err := listener.Accept()
		if err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case conns <- conn:
		default:
			s.wait.Go(func() { s.serveConns(conn, conns) })
		}
	}
}

// serveConns serves conn and then others from conns, unless enough goroutines wait
// for them.
func (s *Server) serveConns(conn net.Conn, conns <-chan net.Conn) {
	for open := true; open; {
		s.ServeConn(conn)
		if s.idle.Add(1) > maxIdle {
			s.idle.Add(-1)
			return
		}
		conn, open = <-conns
		s.idle.Add(-1)
	}
}

// drain closes the connections: idle ones at once, the others after their call.
func (s *Server) drain() {
	s.mu.Lock()
	s.ended = true
	for conn, busy := range s.conns {
		if !busy {
			_ = conn.Close()
		}
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() { s.wait.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(drainTime):
	}
}

// mark records whether conn is in the middle of a call, and returns false if it must
// end.
func (s *Server) mark(conn net.Conn, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = busy
	return !s.ended || busy
}

// ServeConn answers the calls on a connection until it ends, and closes it.
func (s *Server) ServeConn(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	w := newWire(conn)
	defer w.release()
	for s.mark(conn, false) {
		w.begin()
		if conn.SetDeadline(time.Time{}) != nil { // Kong keeps idle connections
			return
		}
		message, err := w.frame()
		if !s.mark(conn, true) || conn.SetDeadline(time.Now().Add(eventTime)) != nil {
			return
		}
		if err != nil || !s.call(w, message) {
			w.hangUp()
			return
		}
	}
}

// call answers one call of Kong's, and returns false when the connection must end. A
// call that can't be read gets no answer: Kong would take a return for an event that
// was handled, and let the provider's token pass.
func (s *Server) call(w *wire, message []byte) bool {
	c, err := readCall(message)
	switch {
	case err != nil:
		return false
	case c.event != nil:
		return s.event(w, c)
	}
	return s.command(w, message)
}

// command answers what isn't an event. An instance that one worker closes stays,
// because other workers may use it.
func (s *Server) command(w *wire, message []byte) bool {
	var c kong_plugin_protocol.RpcCall
	if proto.Unmarshal(message, &c) != nil {
		return false
	}
	answer := &kong_plugin_protocol.RpcReturn{Sequence: c.Sequence}
	var i Instance
	var known bool
	switch command := c.Call.(type) {
	case *kong_plugin_protocol.RpcCall_CmdStartInstance:
		i, known = s.plugin.StartInstance(command.CmdStartInstance.GetConfig()), true
	case *kong_plugin_protocol.RpcCall_CmdGetInstanceStatus:
		i, known = s.plugin.FindInstance(command.CmdGetInstanceStatus.GetInstanceId())
	case *kong_plugin_protocol.RpcCall_CmdCloseInstance:
		i, known = s.plugin.FindInstance(command.CmdCloseInstance.GetInstanceId())
	}
	if known {
		answer.Return = &kong_plugin_protocol.RpcReturn_InstanceStatus{InstanceStatus: &kong_plugin_protocol.InstanceStatus{
			Name: s.name, InstanceId: i.ID, StartedAt: i.Started.Unix(),
		}}
	}
	data, err := proto.Marshal(answer)
	if err != nil {
		return false
	}
	w.put(func(out []byte) []byte { return append(out, data...) })
	return w.flush() == nil
}

// event handles an event, and returns false when the connection must end: the
// client was answered, the wire is broken, or the instance is unknown. Kong gets no
// answer about an unknown instance, and then starts it again and repeats the event.
// Every other event must end properly, or Kong repeats it for ever.
func (s *Server) event(w *wire, c call) bool {
	id, phase, err := readEvent(c.event)
	if err != nil {
		return false
	}
	e := &Event{Instance: id, Phase: phase, wire: w}
	if !s.plugin.HandleEvent(e) || e.exited {
		return false
	}
	w.putText("") // ends the event
	w.put(returnMessage(c.sequence))
	return w.settle(0) == nil
}
