package kongtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// StandIn is a gateway that behaves as Kong 3.9 does towards clients,
// upstreams and one external plugin. Where it can't or doesn't:
//
//   - It has services with routes by path and headers, and the plugin under test; anything
//     else in a configuration is an error. So is a call of the PDK that neither
//     the plugin makes nor a recording has.
//   - It takes every answer in whole before it sends any of it, and has no
//     websockets.
//   - Its own errors are JSON whatever the client accepts.
//   - net/http writes no Content-Length with a 204 or 304, and reads a message
//     with Pragma: no-cache as if it had Cache-Control: no-cache, too.
//   - Bodies have a limit, and an event that the plugin ends by closing the
//     connection is repeated a thousand times only.
//   - Regular expressions are Go's.
type StandIn struct {
	prefix  string // of Kong: the socket and large request bodies are in it
	ports   kongPorts
	stays   bool // whether Close leaves the prefix, which somebody else made
	socket  string
	info    *pluginInfo // nil without a plugin
	workers []*worker
	process *process // nil if a test listens on the socket
	log     tail
	front   *front
	traffic *traffic

	ctx    context.Context // ends with the gateway
	cancel context.CancelFunc

	generation atomic.Pointer[generation]
	sequence   atomic.Int64 // __seq__, node-wide
	turn       atomic.Uint64
	closing    atomic.Bool
	serial     atomic.Int64
	spooled    atomic.Int64

	mu      sync.Mutex // guards what follows
	closed  bool
	active  int            // requests and log phases
	running sync.WaitGroup // the same, to wait for

	reloading   sync.Mutex // guards what follows
	reloaded    bool
	generations []*generation // all of them: a request may still use an old one
}

// StartStandIn runs a stand-in and returns once it serves. ctx bounds the
// start only.
func StartStandIn(ctx context.Context, o Options) (*StandIn, error) {
	if o.Plugin == "" {
		return newStandIn(o, nil, "", time.Minute)
	}
	var err error
	if o.Plugin, err = filepath.Abs(o.Plugin); err != nil {
		return nil, err
	}
	info, err := queryPlugin(ctx, filepath.Base(o.Plugin), queryCommand(o))
	if err != nil {
		return nil, err
	}
	s, err := newStandIn(o, info, "", time.Minute)
	if err != nil {
		return nil, err
	}
	if s.process, err = startProcess(s, startCommand(o, s.prefix, "-i", "PWD="+s.prefix)); err == nil {
		err = s.process.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newStandIn makes a gateway that serves already but runs no process. Someone
// listens on socket, or will on the prefix's if socket is empty. timeout
// bounds every event.
func newStandIn(o Options, info *pluginInfo, socket string, timeout time.Duration) (*StandIn, error) {
	s := &StandIn{socket: socket, info: info, traffic: newTraffic()}
	if err := s.place(o.installed); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sequence.Store(1)
	if info != nil && socket == "" {
		s.socket = filepath.Join(s.prefix, info.Name+".socket")
	}
	for i := range max(o.Workers, 0) {
		s.addWorker(i, timeout)
	}
	if o.Workers <= 0 {
		s.addWorker(0, timeout)
		s.addWorker(1, timeout)
	}
	err := s.Reload(o.Config)
	if err == nil {
		s.front, err = listen(s)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// place gives s the place that in says, or a prefix of its own.
func (s *StandIn) place(in *installed) (err error) {
	if in != nil {
		s.prefix, s.ports, s.log.also, s.stays = in.prefix, in.ports, in.log, true
		return nil
	}
	s.prefix, err = os.MkdirTemp("", "kong") // short: a socket's path has at most 107 bytes
	return err
}

func (s *StandIn) addWorker(number int, timeout time.Duration) {
	s.workers = append(s.workers, &worker{number: number, pool: &pool{socket: s.socket, timeout: timeout, traffic: s.traffic}})
}

func (s *StandIn) nextWorker() *worker {
	return s.workers[s.turn.Add(1)%uint64(len(s.workers))]
}

// URL implements [Gateway].
func (s *StandIn) URL() string { return "http://" + s.front.plain.Addr().String() }

// TLSURL implements [Gateway].
func (s *StandIn) TLSURL() string { return "https://" + s.front.tls.Addr().String() }

// Log implements [Gateway].
func (s *StandIn) Log() string { return s.log.String() }

// Reload implements [Gateway]. As in Kong, an identical configuration is a new
// one, too: every worker starts its instances again, and its first event still
// carries an instance that the plugin doesn't know.
func (s *StandIn) Reload(config []byte) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	g, err := s.newGeneration(config)
	if err != nil {
		return err
	}
	s.reloaded = true
	s.generations = append(s.generations, g)
	if old := s.generation.Swap(g); old != nil {
		old.close()
	}
	return nil
}

// KillPlugin kills the plugin's process and returns when it is gone. The
// gateway respawns it at once.
func (s *StandIn) KillPlugin() {
	if s.process == nil {
		return
	}
	if dead := s.process.signal(syscall.SIGKILL); dead != nil {
		<-dead
	}
}

// PluginPID returns the process id of the plugin, zero while it isn't running.
func (s *StandIn) PluginPID() int {
	if s.process == nil {
		return 0
	}
	s.process.mu.Lock()
	defer s.process.mu.Unlock()
	if s.process.serving == nil {
		return 0
	}
	return s.process.serving.cmd.Process.Pid
}

// PluginOutput returns what the plugin wrote to stdout and stderr. Kong logs
// that at level info, which the default level hides.
func (s *StandIn) PluginOutput() string {
	if s.process == nil {
		return ""
	}
	return s.process.output.String()
}
