package kongtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process keeps the plugin's server running, as Kong does.
type process struct {
	gateway *StandIn
	bin     string
	args    []string
	prefix  string
	socket  string
	env     []string
	output  tail

	stop  chan struct{} // closed when it must not run any more
	ended chan struct{} // closed when it doesn't

	mu      sync.Mutex
	stopped bool
	cmd     *exec.Cmd     // nil between two runs
	dead    chan struct{} // closed when cmd ended
	exits   int
	lastUp  time.Time // when it was last respawned
}

// respawnPause is how long Kong waits when a plugin that was just respawned
// ends again.
const respawnPause = time.Second

// errStopped means that the gateway is closing.
var errStopped = errors.New("stopped")

func startProcess(s *StandIn, bin string, o Options) (*process, error) {
	p := &process{
		gateway: s, bin: bin, prefix: s.prefix, socket: s.socket,
		args: append([]string{"-kong-prefix", s.prefix}, o.Args...),
		env:  append([]string{"PWD=" + s.prefix}, o.Env...), // all that Kong lets through
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := p.spawn(); err != nil {
		return nil, err
	}
	go p.keepRunning()
	return p, nil
}

func (p *process) spawn() error {
	cmd := exec.Command(p.bin, p.args...)
	cmd.Dir, cmd.Env = p.prefix, p.env
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.WaitDelay = time.Second // a grandchild with the pipes open must not block Close
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return errStopped
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the plugin: %w", err)
	}
	p.cmd, p.dead = cmd, make(chan struct{})
	return nil
}

// keepRunning respawns the plugin whenever it ends, until stop is closed. The
// first respawn is immediate; one that follows within a second waits.
func (p *process) keepRunning() {
	defer close(p.ended)
	for {
		p.wait()
		err := errors.New("not yet")
		for err != nil {
			select {
			case <-p.stop:
				return
			case <-time.After(p.pause()):
			}
			if err = p.spawn(); errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				p.gateway.logf("error", "%v", err)
			}
		}
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

func (p *process) wait() {
	p.mu.Lock()
	cmd, dead := p.cmd, p.dead
	p.mu.Unlock()
	err := cmd.Wait()
	p.gateway.logf("notice", "external pluginserver '%s' terminated: %v", p.bin, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	p.exits++
	close(dead)
}

// signal sends sig to the running process and returns a channel that closes
// when it has ended; both are nil between two runs.
func (p *process) signal(sig syscall.Signal) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	p.cmd.Process.Signal(sig)
	return p.dead
}

// ready waits until the plugin accepts connections.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := dialer.DialContext(ctx, "unix", p.socket)
		if err == nil {
			return conn.Close()
		}
		p.mu.Lock()
		exits := p.exits
		p.mu.Unlock()
		if exits > 1 {
			return fmt.Errorf("the plugin doesn't stay up; it wrote: %s", p.output.String())
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for the plugin's socket: %w; it wrote: %s", err, p.output.String()), ctx.Err())
		case <-tick.C:
		}
	}
}

// close ends the process: politely at first, by force after three seconds.
func (p *process) close() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	close(p.stop)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(3 * time.Second):
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}
