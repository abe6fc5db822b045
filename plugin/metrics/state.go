package metrics

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"
)

// State is the state of the configurations with one name: one, unless some differ in
// secrets alone.
type State struct {
	Config string // a short name that is the same in every process
	Issuer string
	Cache  Cache
	Reuse  *Reuse // nil if no answer is given again

	Keys    []Key     // of the gateway's ring; none if there is no usable one
	KeyFile time.Time // when the ring's file was changed; zero if it never was read

	ProviderKeys   time.Time // when the provider's set was fetched last; zero if it never was
	ProviderFailed uint64    // fetches that failed
	ProviderFaulty int       // keys of the set that can't be used
	NotReady       error     // why no token can be enriched now, nil if one can
}

// Key is a key of the ring.
type Key struct{ ID, Algorithm, Role string }

// Cache is what the records' cache did and has.
type Cache struct {
	Hits, Misses, Stale uint64
	Entries, Bytes      int
	Errors              map[string]uint64 // by kind
}

// Reuse is what giving answers again did and has.
type Reuse struct {
	Made, Saved    uint64 // calls to the provider
	Entries, Bytes int
	SharedErrors   uint64
}

// Join returns the state of two configurations with one name: the sum of their
// counts, all keys and the oldest times. It is ready if both are.
func (s State) Join(other State) State {
	if s.Config == "" {
		return other
	}
	s.Cache = s.Cache.join(other.Cache)
	s.Reuse = s.Reuse.join(other.Reuse)
	s.Keys = slices.Clone(s.Keys)
	for _, key := range other.Keys {
		if !slices.Contains(s.Keys, key) {
			s.Keys = append(s.Keys, key)
		}
	}
	s.KeyFile = earlier(s.KeyFile, other.KeyFile)
	s.ProviderKeys = earlier(s.ProviderKeys, other.ProviderKeys)
	s.ProviderFailed += other.ProviderFailed
	s.ProviderFaulty = max(s.ProviderFaulty, other.ProviderFaulty) // of one provider
	s.NotReady = errors.Join(s.NotReady, other.NotReady)
	return s
}

// Counts returns what remains of a configuration that was closed.
func (s State) Counts() State {
	s.Cache.Entries, s.Cache.Bytes = 0, 0
	return State{Config: s.Config, Issuer: s.Issuer, Cache: s.Cache, Reuse: s.Reuse.counts(), ProviderFailed: s.ProviderFailed}
}

func (c Cache) join(other Cache) Cache {
	c.Hits, c.Misses, c.Stale = c.Hits+other.Hits, c.Misses+other.Misses, c.Stale+other.Stale
	c.Entries, c.Bytes = c.Entries+other.Entries, c.Bytes+other.Bytes
	errs := map[string]uint64{}
	maps.Copy(errs, c.Errors)
	for kind, n := range other.Errors {
		errs[kind] += n
	}
	c.Errors = errs
	return c
}

func (r *Reuse) join(other *Reuse) *Reuse {
	if r == nil || other == nil {
		return cmp.Or(r, other)
	}
	return &Reuse{
		Made: r.Made + other.Made, Saved: r.Saved + other.Saved, SharedErrors: r.SharedErrors + other.SharedErrors,
		Entries: r.Entries + other.Entries, Bytes: r.Bytes + other.Bytes,
	}
}

func (r *Reuse) counts() *Reuse {
	if r == nil {
		return nil
	}
	return &Reuse{Made: r.Made, Saved: r.Saved, SharedErrors: r.SharedErrors}
}

// earlier returns the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
