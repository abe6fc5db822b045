package kongtest

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"m2m-token-enricher/test/await"
)

// RestartPlugin does with the plugin's process what "kong reload" does: a new
// one starts beside the old one, on the same socket path. It returns when the
// socket is the new one's. The old one runs on until end is called, which sends
// it SIGTERM and waits for it; Kong does that about ten seconds later.
//
// Kong's workers are replaced as well. The stand-in's stay, as Kong's old ones
// do until their requests have ended: idle connections lead to the old process,
// new ones to the new one, and instances are those of the old one.
func (s *StandIn) RestartPlugin(ctx context.Context) (end func() error, err error) {
	if s.process == nil {
		return nil, errors.New("no plugin runs")
	}
	next, former, err := s.process.spawn()
	if err != nil {
		return nil, err
	}
	if err := s.process.owns(ctx, next); err != nil {
		return nil, err
	}
	return func() error { return former.terminate() }, nil
}

// terminate ends a server as Kong does, and waits for it. s may be nil, or have
// ended.
func (s *server) terminate() error {
	if s == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it has ended if this fails
	select {
	case <-s.dead:
		return nil
	case <-time.After(endTime):
		return fmt.Errorf("process %d doesn't end", s.cmd.Process.Pid)
	}
}

// endTime is how long a process may run after SIGTERM: longer than the plugin
// waits for events under way.
const endTime = 20 * time.Second

// owns waits until the socket is that of s.
func (p *process) owns(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return await.Success(ctx, func() error {
		select {
		case <-s.dead:
			cancel()
			return fmt.Errorf("the new process ended; it wrote: %s", p.output.String())
		default:
		}
		pid, err := listenerOf(ctx, p.socket)
		if err == nil && pid != s.cmd.Process.Pid {
			err = fmt.Errorf("the socket is that of process %d, not %d", pid, s.cmd.Process.Pid)
		}
		return err
	})
}
