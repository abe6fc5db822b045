package plugin

import (
	"maps"
	"slices"

	"m2m-token-enricher/plugin/metrics"
)

// Instances implements [metrics.Source].
func (is *instances) Instances() int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return len(is.known)
}

// Missed implements [metrics.Source].
func (is *instances) Missed() uint64 { return is.observers.audit.Missed() }

// States implements [metrics.Source]. Instances with the same name have one state.
func (is *instances) States() []metrics.State {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.sweep(is.now())
	states := map[string]metrics.State{}
	for _, i := range is.known {
		if i.gateway == nil {
			continue
		}
		s := stateOf(i.name, i.gateway)
		if s.NotReady != nil {
			go i.gateway.Warm() // without a request nothing else would
		}
		states[i.name] = states[i.name].Join(s)
	}
	for name, s := range states {
		states[name] = s.Join(is.counts[name])
	}
	return slices.Collect(maps.Values(states))
}
