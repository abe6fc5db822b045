package cache

import (
	"slices"
	"strings"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// copyChunk is how many records are copied while lookups wait.
const copyChunk = 1000

// outdated is a generation that no tier reaches: an entry of it is never fresh.
const outdated = ^uint64(0)

// Serves reports whether r has records that cfg may use: those of the same Redis,
// under the same prefix. Accounts, timeouts and TLS files don't matter.
func (r *Records) Serves(cfg *schema.Config) bool {
	return r.cfg.Prefix == cfg.Prefix && connect.Same(r.cfg.Redis, cfg.Redis)
}

// copy takes over the records of previous; each keeps the time when Redis was
// asked for it. With cache.invalidation they are stale, because r wasn't
// notified of changes until now. A record that lacks a property only because
// Redis wasn't asked for it is partial.
func (r *Records) copy(previous *Records) {
	select {
	case <-previous.copied: // before that its tier is empty
	case <-r.ctx.Done():
		return
	}
	for keys := range slices.Chunk(previous.tier.keys(r.cfg.Cache.MaxEntries), copyChunk) {
		if r.ctx.Err() != nil {
			return
		}
		r.tier.addAll(previous.tier.records(keys), func(key string, e *entry) {
			e.ttl = r.ttl(nil)
			if r.cfg.Cache.Invalidation {
				e.generation = outdated
			}
			e.partial = r.lacks(key, e.properties)
		})
	}
}

// lacks reports whether the record at key needs a property that isn't among
// those asked for.
func (r *Records) lacks(key string, asked []string) bool {
	if slices.Contains(asked, schema.AllProperties) {
		return false
	}
	for kind, needed := range r.properties {
		if strings.HasPrefix(key, kind.Key(r.cfg.Prefix, "")) {
			return slices.ContainsFunc(needed, func(name string) bool { return !slices.Contains(asked, name) })
		}
	}
	return false
}

type keyedEntry struct {
	key string
	entry
}

// keys returns the n most recently used keys, the latest last.
func (t *tier) keys(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := t.entries.Keys()
	return keys[max(0, len(keys)-n):]
}

// records returns the cached records of keys for a tier of generation 0.
// Negative entries are left out: they never stand in for an answer.
func (t *tier) records(keys []string) []keyedEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	records := make([]keyedEntry, 0, len(keys))
	for _, key := range keys {
		e, cached := t.entries.Peek(key)
		if !cached || e.err != nil {
			continue
		}
		if e.generation == t.generation {
			e.generation = 0
		} else {
			e.generation = outdated
		}
		records = append(records, keyedEntry{key, e})
	}
	return records
}

// addAll adds entries after adapt has fitted each to this tier.
func (t *tier) addAll(entries []keyedEntry, adapt func(key string, e *entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		adapt(e.key, &e.entry)
		t.add(e.key, e.entry)
	}
}
