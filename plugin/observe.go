package plugin

import (
	"errors"
	"fmt"

	"m2m-token-enricher/plugin/metrics"
)

// watched is what metrics ask the server for.
type watched struct {
	runtimes  *runtimes
	instances *instances
}

// Instances implements [metrics.Source].
func (w watched) Instances() int {
	w.instances.mu.Lock()
	defer w.instances.mu.Unlock()
	return len(w.instances.known)
}

// States implements [metrics.Source].
func (w watched) States() []metrics.State {
	w.runtimes.mu.Lock()
	running := make([]*runningConfig, 0, len(w.runtimes.running))
	for _, r := range w.runtimes.running {
		running = append(running, r)
	}
	w.runtimes.mu.Unlock()
	states := make([]metrics.State, len(running))
	for i, r := range running {
		states[i] = r.state()
	}
	return states
}

func (r *runningConfig) state() metrics.State {
	s := metrics.State{Config: r.name, Issuer: r.cfg.Issuer}
	held := r.records.Stats()
	s.Cache = metrics.Cache(held)
	ring, taken := r.keys.State()
	s.KeyFile = taken
	s.ProviderKeys, s.ProviderFailed = r.provider.KeysState()
	if ring == nil {
		s.NotReady = errors.New("no signing key")
	} else {
		for i, key := range ring.Keys() {
			role := "published"
			if i == 0 {
				role = "signing"
			}
			s.Keys = append(s.Keys, metrics.Key{ID: key.ID, Algorithm: key.Algorithm, Role: role})
		}
	}
	if s.ProviderKeys.IsZero() {
		s.NotReady = errors.Join(s.NotReady, fmt.Errorf("the provider's keys were never fetched"))
	}
	return s
}
