package kongtest

import (
	"context"
	"os"
	"time"
)

// begin registers a request or a log phase. It returns false once the gateway
// is closed; otherwise the caller must call s.end.
func (s *StandIn) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	s.running.Add(1)
	return true
}

func (s *StandIn) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.running.Done()
}

// background runs f beside the request that asked for it.
func (s *StandIn) background(f func(ctx context.Context)) {
	if !s.begin() {
		return
	}
	go func() {
		defer s.end()
		f(s.ctx)
	}()
}

// Close implements [Gateway]. Requests and log phases under way get two
// seconds each.
func (s *StandIn) Close() error {
	if s.closing.Swap(true) {
		return nil
	}
	if s.front != nil {
		s.front.close()
	}
	s.drain(2 * time.Second)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if s.process != nil {
		s.process.close() // which ends every event
	}
	s.running.Wait()
	for _, w := range s.workers {
		w.pool.close()
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	for _, g := range s.generations {
		g.close()
	}
	if s.stays {
		return nil
	}
	return os.RemoveAll(s.prefix)
}

// drain waits until nothing runs, or for at most limit.
func (s *StandIn) drain(limit time.Duration) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		s.mu.Lock()
		idle := s.active == 0
		s.mu.Unlock()
		if idle {
			return
		}
	}
}
