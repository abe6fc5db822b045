package reuse_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// redis holds the shared answers and the marks of purges. Whoever attacks it can
// write, but has no secret.
type redis struct {
	w      *world
	writes sync.WaitGroup

	mu     sync.Mutex
	away   timeline[bool]
	slow   time.Duration
	lossy  bool
	values map[string]stored
	past   []stored // what was ever written
	marks  map[string]string
	count  int
}

type stored struct {
	name  string
	value []byte
	until time.Time
}

func (r *redis) change() {
	next := r.w.upTo(4)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lossy, r.slow = next == 2, 0
	r.away.set(next == 1)
	if next == 3 {
		r.slow = 100 * time.Millisecond
	}
}

// attack does what somebody who can write to Redis may try: it puts old values back,
// under their names or others, and changes or deletes some.
func (r *redis) attack() {
	what, random := r.w.upTo(4), r.w.upTo(1<<20)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, now := range r.values {
		switch what {
		case 0:
			delete(r.values, name)
		case 1:
			changed := slices.Clone(now.value) // a reader may have the old one
			changed[random%len(changed)] ^= 1
			r.values[name] = stored{name, changed, now.until}
		case 2:
			old := r.past[random%len(r.past)]
			r.values[name] = stored{name, old.value, time.Now().Add(time.Hour)}
		case 3:
			for _, old := range r.past {
				r.values[old.name] = stored{old.name, old.value, time.Now().Add(time.Hour)}
			}
			return
		}
	}
}

// wasAway reports whether Redis was away at some moment since from.
func (r *redis) wasAway(from time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away.was(from, func(away bool) bool { return away })
}

// mark is what the command that purges does.
func (r *redis) mark(field string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away.now() {
		return errors.New("redis is away")
	}
	r.count++
	r.marks = maps.Clone(r.marks)
	r.marks[field] = fmt.Sprint(r.count)
	return nil
}

func (r *redis) readMarks() (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away.now() {
		return nil, errors.New("redis is away")
	}
	return r.marks, nil
}

// SharedAnswer implements [reuse.Shared].
func (r *redis) SharedAnswer(ctx context.Context, name string) ([]byte, error) {
	r.mu.Lock()
	away, slow, found := r.away.now(), r.slow, r.values[name]
	r.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case away:
		return nil, errors.New("redis is away")
	case time.Now().Before(found.until):
		return append([]byte(nil), found.value...), nil
	}
	return nil, nil
}

// ShareAnswer implements [reuse.Shared].
func (r *redis) ShareAnswer(name string, value []byte, life time.Duration) {
	after, lost := r.w.upToTime(20*time.Millisecond), r.w.upTo(2) == 0
	r.writes.Go(func() {
		time.Sleep(after)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.away.now() || r.lossy && lost {
			return
		}
		s := stored{name, append([]byte(nil), value...), time.Now().Add(life)}
		r.values[name] = s
		r.past = append(r.past, stored{name, append([]byte(nil), value...), s.until})
	})
}

// purge forbids what the gateways hold, of one client or of all, if Redis takes it.
func (w *world) purge() {
	field := "all"
	if w.upTo(4) > 0 {
		field = "client:" + w.anyClient().name
	}
	if w.redis.mark(field) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.purged[field] = time.Now()
}
