package kongtest

import (
	"maps"
	"sync"
)

// Traffic is what went between the gateway and its plugin. Configurations that
// were delivered count, too.
type Traffic struct {
	Questions            map[string]int // calls of the PDK, by phase and name, such as "access kong.nginx.get_var"
	FromPlugin, ToPlugin Stream
	Connections          int
}

// Stream is one direction of it.
type Stream struct{ Frames, Bytes int }

// traffic counts. Safe for concurrent use.
type traffic struct {
	mu    sync.Mutex
	sofar Traffic
}

func newTraffic() *traffic { return &traffic{sofar: Traffic{Questions: map[string]int{}}} }

// count changes the counts.
func (t *traffic) count(change func(*Traffic)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.sofar)
}

// Traffic returns the counts since the start.
func (s *StandIn) Traffic() Traffic {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	sofar := s.traffic.sofar
	sofar.Questions = maps.Clone(sofar.Questions)
	return sofar
}
