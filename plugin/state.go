package plugin

import (
	"errors"

	"m2m-token-enricher/plugin/metrics"
)

// notReady returns why no token can be enriched now, nil if one can.
func (r *runningConfig) notReady() error {
	var errs []error
	if fetched, _ := r.provider.KeysState(); fetched.IsZero() {
		errs = append(errs, errors.New("the provider's keys were never fetched"))
	}
	if ring, _ := r.keys.State(); ring == nil {
		errs = append(errs, errors.New("no signing key"))
	}
	return errors.Join(errs...)
}

// state is what metrics show of a configuration.
func (r *runningConfig) state(name string) metrics.State {
	s := metrics.State{Config: name, Issuer: r.cfg.Issuer}
	s.Cache = metrics.Cache(r.records.Stats())
	s.ProviderKeys, s.ProviderFailed = r.provider.KeysState()
	s.NotReady = r.notReady()
	ring, changed := r.keys.State()
	if ring == nil {
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
