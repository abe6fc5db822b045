package reconcile

import (
	"maps"
	"slices"

	"m2m-token-enricher/schema"
)

// idLists are identifiers of records, by kind.
type idLists map[schema.Kind][]string

// idSets are identifiers of records, by kind, each once.
type idSets map[schema.Kind]map[string]struct{}

func (s idSets) add(kind schema.Kind, ids ...string) {
	if s[kind] == nil {
		s[kind] = map[string]struct{}{}
	}
	for _, id := range ids {
		s[kind][id] = struct{}{}
	}
}

// addPage adds the records and the failures of p.
func (s idSets) addPage(p Page) {
	for _, kind := range writeOrder {
		for _, e := range p.Records[kind] {
			s.add(kind, e.ID)
		}
		for _, f := range p.Failed[kind] {
			s.add(kind, f.ID)
		}
	}
}

func (s idSets) addAll(other idSets) {
	for kind, ids := range other {
		s.add(kind, slices.Collect(maps.Keys(ids))...)
	}
}

// contains reports whether s has all of part.
func (s idSets) contains(part idSets) bool {
	for kind, ids := range part {
		for id := range ids {
			if _, ok := s[kind][id]; !ok {
				return false
			}
		}
	}
	return true
}
