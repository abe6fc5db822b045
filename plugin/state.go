package plugin

import (
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/metrics"
)

// stateOf is what metrics show of a gateway.
func stateOf(name string, g *gateway.Gateway) metrics.State {
	s := g.State()
	shown := metrics.State{
		Config: name, Issuer: g.Config.Issuer, Cache: cacheOf(s), KeyFile: s.KeyFile,
		ProviderKeys: s.ProviderKeys, ProviderFailed: s.ProviderFailed, ProviderFaulty: s.ProviderFaulty, NotReady: s.NotReady,
	}
	if r := s.Reuse; r != nil {
		shown.Reuse = &metrics.Reuse{Made: r.Made, Saved: r.Saved, Entries: r.Entries, Bytes: r.Bytes, SharedErrors: r.SharedErrors}
	}
	for i, key := range s.Keys {
		role := "published"
		if i == 0 {
			role = "signing"
		}
		shown.Keys = append(shown.Keys, metrics.Key{ID: key.ID, Algorithm: key.Algorithm, Role: role})
	}
	return shown
}

func cacheOf(s gateway.State) metrics.Cache {
	c := s.Records
	return metrics.Cache{Hits: c.Hits, Misses: c.Misses, Stale: c.Stale, Entries: c.Entries, Bytes: c.Bytes, Errors: c.Errors}
}
