package plugin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/audit"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/metrics"
	"m2m-token-enricher/plugin/socket"
	"m2m-token-enricher/plugin/traces"
)

// drainTime is how long the events that run when the process is told to end may
// take to end.
const drainTime = 10 * time.Second

// flushTime is how long the last spans may take to leave.
const flushTime = 2 * time.Second

// Options say where the server listens and who is told of what it does.
type Options struct {
	Prefix  string // Kong's, where the socket is made
	Metrics string // host:port or a Unix socket's path where metrics are served; "": nowhere
	Audit   Audit

	// Users that may connect to the sockets beside root and the process's own.
	// Those of Kong's socket can have the gateway's key sign.
	SocketUsers, MetricsUsers []uint32
}

// Audit is where issued tokens are written down.
type Audit struct {
	File    string // "": nowhere
	MaxSize int64  // bytes that the file may have before it is rotated
	Keep    int    // how many rotated files are kept
}

// Serve runs the plugin server until ctx ends: then no more events begin, and
// those that run end.
func Serve(ctx context.Context, o Options) error {
	jws.Accelerate() // before the first key is read
	path := filepath.Join(o.Prefix, Name+".socket")
	listener, err := socket.Listen(path, o.SocketUsers, logRefusals(path, "-socket-user"))
	if err != nil {
		return err
	}
	log.Printf("%s: listening at %s; signatures by %s", Name, path, jws.Signatures())
	started := newInstances()
	defer started.watch(ctx, o)()
	return newServer(started).serve(ctx, listener)
}

// watch begins the observers that o and the environment ask for. The function
// that it returns ends them.
func (is *instances) watch(ctx context.Context, o Options) (end func()) {
	is.observers.traces = traces.New(ctx, os.Getenv, Version)
	if o.Audit.File != "" {
		is.observers.audit = audit.Open(o.Audit.File, o.Audit.MaxSize, o.Audit.Keep)
	}
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	if o.Metrics != "" {
		is.observers.metrics = metrics.New(metrics.Build{Version: Version, Go: runtime.Version(), Signatures: jws.Signatures()}, is)
		serving.Go(func() { is.serveMetrics(ctx, o.Metrics, o.MetricsUsers) })
	}
	return func() {
		cancel()
		serving.Wait()
		if err := is.observers.audit.Close(); err != nil {
			log.Printf("%s: audit log: %v", Name, err)
		}
		last, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		if err := is.observers.traces.Close(last); err != nil {
			log.Printf("%s: traces: %v", Name, err)
		}
	}
}

func (is *instances) serveMetrics(ctx context.Context, address string, users []uint32) {
	refused := logRefusals(address, "-metrics-user")
	listen := func() (net.Listener, error) { return socket.ListenAt(address, users, refused) }
	is.observers.metrics.Serve(ctx, listen, func(line string) { log.Printf("%s: metrics at %s: %s", Name, address, line) })
}

// logRefusals returns a function that logs why a connection to the socket at path
// was refused. Of refusals that repeat it logs some. flag names more users.
func logRefusals(path, flag string) (refused func(why string)) {
	refusals := newLines(time.Now)
	return func(why string) {
		allowed, missed := refusals.allow("socket", why)
		if !allowed {
			return
		}
		line := fmt.Sprintf("%s: a connection to %s was refused: %s. Only root, this process's user and those named by %s may connect", Name, path, why, flag)
		if missed > 0 {
			line += fmt.Sprintf(" not_logged=%d", missed)
		}
		log.Print(line)
	}
}

// server answers Kong's calls. One goroutine has each connection.
type server struct {
	instances *instances
	handle    func(i *instance, phase string, k *kong)

	mu    sync.Mutex
	conns map[net.Conn]bool // whether it is in the middle of a call
	ended bool
	wait  sync.WaitGroup
}

func newServer(instances *instances) *server {
	return &server{instances: instances, handle: (*instance).phase, conns: map[net.Conn]bool{}}
}

// serve accepts connections until ctx ends, and returns when the calls that run
// have ended.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			s.drain()
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("accept Kong's connections: %w", err), listener.Close())
		}
		s.wait.Go(func() { s.connection(conn) })
	}
}

// drain ends the connections: those that are idle at once, the others when
// their call has ended.
func (s *server) drain() {
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

// mark says whether conn is in the middle of a call, and returns false if it
// must end.
func (s *server) mark(conn net.Conn, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = busy
	return !s.ended || busy
}

// connection answers the calls on a connection until it ends.
func (s *server) connection(conn net.Conn) {
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

// call answers one call of Kong's, and returns false when the connection must
// end. A call that can't be read gets no answer: nothing says what Kong called,
// and a return would be taken for an event that was handled, by which the
// provider's token passes.
func (s *server) call(w *wire, message []byte) bool {
	c, err := readCall(message)
	switch {
	case err != nil:
		return false
	case c.event != nil:
		return s.event(w, c)
	}
	return s.command(w, message)
}

// command answers what isn't an event. Kong closes an instance that other
// workers may go on with, so that it stays.
func (s *server) command(w *wire, message []byte) bool {
	var c kong_plugin_protocol.RpcCall
	if proto.Unmarshal(message, &c) != nil {
		return false
	}
	answer := &kong_plugin_protocol.RpcReturn{Sequence: c.Sequence}
	var i *instance
	switch command := c.Call.(type) {
	case *kong_plugin_protocol.RpcCall_CmdStartInstance:
		i = s.instances.start(command.CmdStartInstance.GetConfig())
	case *kong_plugin_protocol.RpcCall_CmdGetInstanceStatus:
		i = s.instances.find(command.CmdGetInstanceStatus.GetInstanceId())
	case *kong_plugin_protocol.RpcCall_CmdCloseInstance:
		i = s.instances.find(command.CmdCloseInstance.GetInstanceId())
	}
	if i != nil {
		answer.Return = &kong_plugin_protocol.RpcReturn_InstanceStatus{InstanceStatus: i.status()}
	}
	data, err := proto.Marshal(answer)
	if err != nil {
		return false
	}
	w.put(func(out []byte) []byte { return append(out, data...) })
	return w.flush() == nil
}

// event runs a handler, and returns false when the connection must end: the
// handler answered the client, or a reply left the wire in doubt, or the
// instance isn't known. Of an unknown instance Kong gets no answer, so that it
// starts the instance again and repeats the event. In every other case the
// event must end in order, or Kong repeats it for ever.
func (s *server) event(w *wire, c call) bool {
	id, phase, err := readEvent(c.event)
	if err != nil {
		return false
	}
	i := s.instances.use(id)
	if i == nil {
		return false
	}
	defer i.busy.Add(-1)
	k := &kong{wire: w}
	runSafely(k, func() { s.handle(i, phase, k) })
	if k.exited {
		return false
	}
	w.putText("") // ends the event
	w.put(returnMessage(c.sequence))
	return w.settle() == nil
}

// runSafely runs a handler. Handlers recover from their own panics; what they
// can't even tell of is answered without them.
func runSafely(k *kong, handler func()) {
	defer func() {
		if recover() != nil && !k.exited {
			k.exit(500, []byte(`{"error":"server_error"}`), changed)
		}
	}()
	handler()
}
