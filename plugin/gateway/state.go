package gateway

import (
	"errors"
	"time"

	"m2m-token-enricher/cache"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/reuse"
)

// State is the state of a gateway at one time.
type State struct {
	Records cache.Stats
	Reuse   *reuse.Stats // nil if no answer is ever given again

	Keys    []jws.RingKey // of the gateway's ring, the signing one first; none if no ring can be used
	KeyFile time.Time     // when the ring's file was changed; zero if there is no ring

	ProviderKeys   time.Time // when the provider's set was fetched last; zero if it never was
	ProviderFailed uint64    // fetches that failed
	ProviderFaulty int       // keys of the set that can't be used; not those for encryption

	NotReady error // why no token can be enriched now, nil if one can
}

// State returns the state now. It asks neither Redis nor the provider.
func (g *Gateway) State() State {
	s := State{Records: g.Records.Stats(), NotReady: g.NotReady()}
	s.ProviderKeys, s.ProviderFailed = g.Provider.KeysState()
	s.ProviderFaulty = len(jws.Faulty(g.Provider.Skipped()))
	if g.Reuse != nil {
		stats := g.Reuse.Stats()
		stats.SharedErrors += g.Records.SharingStats().Errors
		s.Reuse = &stats
	}
	if ring, changed := g.Keys.State(); ring != nil {
		s.Keys, s.KeyFile = ring.Keys(), changed
	}
	return s
}

// NotReady returns why no token can be enriched now, nil if one can.
func (g *Gateway) NotReady() error {
	var errs []error
	if fetched, _ := g.Provider.KeysState(); fetched.IsZero() {
		errs = append(errs, errors.New("the provider's keys were never fetched"))
	}
	if ring, _ := g.Keys.State(); ring == nil {
		errs = append(errs, errors.New("no signing key"))
	}
	return errors.Join(errs...)
}
