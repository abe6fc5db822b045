package reconcile

import (
	"maps"
	"slices"

	"m2m-token-enricher/schema"
)

// seen are the identifiers that a source has.
type seen map[schema.Kind]map[string]struct{}

func (s seen) add(kind schema.Kind, ids ...string) {
	if s[kind] == nil {
		s[kind] = map[string]struct{}{}
	}
	for _, id := range ids {
		s[kind][id] = struct{}{}
	}
}

func (s seen) addPage(p Page) {
	for _, kind := range written {
		for _, e := range p.Records[kind] {
			s.add(kind, e.ID)
		}
		for _, f := range p.Failed[kind] {
			s.add(kind, f.ID)
		}
	}
}

func (s seen) addAll(other seen) {
	for kind, ids := range other {
		s.add(kind, slices.Collect(maps.Keys(ids))...)
	}
}

// has reports whether s has everything that part has.
func (s seen) has(part seen) bool {
	for kind, ids := range part {
		for id := range ids {
			if _, ok := s[kind][id]; !ok {
				return false
			}
		}
	}
	return true
}
