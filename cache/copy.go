package cache

import (
	"slices"
	"strings"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// copiedAtOnce is how many records are copied while the lookups of neither side
// can go on.
const copiedAtOnce = 1000

// doubtful is what no tier's count of doubts reaches: what has it isn't fresh.
const doubtful = ^uint64(0)

// kinds are all that there are.
var kinds = []schema.Kind{schema.Application, schema.Organization, schema.User}

// Serves reports whether r has records that cfg may use: those of the same Redis,
// under the same prefix. How it is connected to (users, passwords, timeouts, TLS
// files) doesn't matter.
func (r *Records) Serves(cfg *schema.Config) bool {
	return r.prefix == cfg.Prefix && connect.Same(r.redis, cfg.Redis)
}

// copy takes over the records that from has, each with the time when Redis was
// asked for it. What Redis may have changed meanwhile, without r being told, is
// doubtful. A record that wasn't asked for a property that r needs is only the last
// one known: the property isn't missing.
func (r *Records) copy(from *Records) {
	select {
	case <-from.copied: // or there would be nothing yet
	case <-r.ctx.Done():
		return
	}
	keys := from.tier.keys(r.cfg.MaxEntries)
	for len(keys) > 0 && r.ctx.Err() == nil {
		n := min(len(keys), copiedAtOnce)
		r.tier.adopt(from.tier.records(keys[:n]), func(key string, e *entry) {
			e.life = r.life(nil)
			if r.cfg.Invalidation {
				e.doubts = doubtful
			}
			e.partial = !includes(e.properties, r.properties[r.kindOf(key)])
		})
		keys = keys[n:]
	}
}

func includes(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}

func (r *Records) kindOf(key string) schema.Kind {
	for _, kind := range kinds {
		if strings.HasPrefix(key, kind.Key(r.prefix, "")) {
			return kind
		}
	}
	return ""
}

// keyed is an entry and its key.
type keyed struct {
	key string
	entry
}

// keys returns the keys that were used last, at most n, the latest at the end.
func (t *tier) keys(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := t.entries.Keys()
	return keys[max(0, len(keys)-n):]
}

// records returns the records that are held of keys. The time of one that may
// have changed stays, but its doubts are doubtful.
func (t *tier) records(keys []string) []keyed {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := make([]keyed, 0, len(keys))
	for _, key := range keys {
		e, ok := t.entries.Peek(key)
		if !ok || e.err != nil { // that there is none never stands in for an answer
			continue
		}
		if e.doubts == t.doubts {
			e.doubts = 0
		} else {
			e.doubts = doubtful
		}
		held = append(held, keyed{key, e})
	}
	return held
}

// adopt holds entries of another tier that hasn't doubted since, after change
// made them this one's.
func (t *tier) adopt(entries []keyed, change func(key string, e *entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		change(e.key, &e.entry)
		t.hold(e.key, e.entry)
	}
}
