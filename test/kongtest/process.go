package kongtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"m2m-token-enricher/test/await"
)

// process keeps the plugin's server running, as Kong does.
type process struct {
	gateway *StandIn
	command string // for sh
	prefix  string
	socket  string
	output  tail

	stop chan struct{}  // closed when no server may run any more
	ends sync.WaitGroup // of every server that was started

	mu      sync.Mutex
	stopped bool
	serving *server   // nil between two runs
	former  []*server // those before a reload, until they end
	exits   int
	lastUp  time.Time // when it was last respawned
}

// server is one run of the plugin's executable.
type server struct {
	cmd  *exec.Cmd
	dead chan struct{} // closed when it has ended
}

// respawnPause is how long Kong waits when a plugin that was just respawned
// ends again.
const respawnPause = time.Second

// errStopped means that the gateway is closing.
var errStopped = errors.New("stopped")

func startProcess(s *StandIn, command string) (*process, error) {
	p := &process{gateway: s, command: command, prefix: s.prefix, socket: s.socket, stop: make(chan struct{})}
	if _, _, err := p.spawn(); err != nil {
		return nil, err
	}
	return p, nil
}

// spawn starts a server. The previous one, if there is one, keeps running. As in
// Kong, the umask is zero and the environment has only PWD.
func (p *process) spawn() (next, former *server, err error) {
	cmd := exec.Command("sh", "-c", "umask 0; exec "+p.command)
	cmd.Dir, cmd.Env = p.prefix, []string{"PWD=" + p.prefix}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.WaitDelay = time.Second // a grandchild with the pipes open must not block Close
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, nil, errStopped
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting the plugin: %w", err)
	}
	former = p.serving
	if former != nil {
		p.former = append(p.former, former)
	}
	p.serving = &server{cmd: cmd, dead: make(chan struct{})}
	next = p.serving
	p.ends.Go(func() { p.follow(next) })
	return next, former, nil
}

// follow waits for the end of s. If s served until then, another server replaces
// it, until stop is closed: at once, or after a pause if the previous respawn was
// within a second.
func (p *process) follow(s *server) {
	if !p.wait(s) {
		return
	}
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(p.pause()):
		}
		_, _, err := p.spawn()
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		p.gateway.logf("error", "%v", err)
	}
}

// pause returns how long to wait before the next respawn.
func (p *process) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var d time.Duration
	if time.Since(p.lastUp) < respawnPause {
		d = respawnPause
	}
	p.lastUp = time.Now().Add(d)
	return d
}

// wait waits until s has ended and reports whether it served until then.
func (p *process) wait(s *server) (served bool) {
	err := s.cmd.Wait()
	p.gateway.logf("notice", "external pluginserver '%s' terminated: %v", p.gateway.info.Name, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if served = p.serving == s; served {
		p.serving = nil
		p.exits++
	}
	p.former = slices.DeleteFunc(p.former, func(other *server) bool { return other == s })
	close(s.dead)
	return served
}

// signal sends sig to the running process and returns a channel that closes
// when it has ended; both are nil between two runs.
func (p *process) signal(sig syscall.Signal) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving == nil {
		return nil
	}
	p.serving.cmd.Process.Signal(sig)
	return p.serving.dead
}

// ready waits until the plugin accepts connections.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := await.Success(ctx, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.exits > 1 {
			cancel()
			return errors.New("it doesn't stay up")
		}
		return listens(ctx, p.socket)
	})
	if err != nil {
		return fmt.Errorf("start the plugin: %w; it wrote: %s", err, p.output.String())
	}
	return nil
}

// close ends every server: first with SIGTERM, after three seconds with SIGKILL.
func (p *process) close() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	close(p.stop)
	ended := make(chan struct{})
	go func() { p.ends.Wait(); close(ended) }()
	p.signalAll(syscall.SIGTERM)
	select {
	case <-ended:
		return
	case <-time.After(3 * time.Second):
	}
	p.signalAll(syscall.SIGKILL)
	<-ended
}

func (p *process) signalAll(sig syscall.Signal) {
	p.signal(sig)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.former {
		s.cmd.Process.Signal(sig)
	}
}
