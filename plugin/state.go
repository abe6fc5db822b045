package plugin

import (
	"errors"

	"m2m-token-enricher/plugin/metrics"
)

// state is what metrics show of a configuration.
func (r *runningConfig) state(name string) metrics.State {
	s := metrics.State{Config: name, Issuer: r.cfg.Issuer}
	s.Cache = metrics.Cache(r.records.Stats())
	s.ProviderKeys, s.ProviderFailed = r.provider.KeysState()
	if s.ProviderKeys.IsZero() {
		s.NotReady = errors.New("the provider's keys were never fetched")
	}
	ring, changed := r.keys.State()
	if ring == nil {
		s.NotReady = errors.Join(s.NotReady, errors.New("no signing key"))
		return s
	}
	s.KeyFile = changed
	for i, key := range ring.Keys() {
		role := "published"
		if i == 0 {
			role = "signing"
		}
		s.Keys = append(s.Keys, metrics.Key{ID: key.ID, Algorithm: key.Algorithm, Role: role})
	}
	return s
}
