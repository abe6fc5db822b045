package cache

import (
	"context"
	"fmt"
	"time"

	"m2m-token-enricher/schema"
)

// marksTTL is how long the purge marks are fresh, less up to a tenth. A purge must
// be seen within a second.
const marksTTL = 500 * time.Millisecond

// marksTime is for how long a caller waits for the purge marks at most.
const marksTime = 100 * time.Millisecond

// maxMarkSize is how many bytes a mark and its name have at most.
const maxMarkSize = 1024

// PurgeMarks returns the marks that purges left, by what was purged. They must not
// be modified. None is an empty map. While Redis doesn't answer, the last marks
// stand in as long as a record may. After that, and if what Redis has is no valid
// set of marks, the error says so. Redis is asked at most every half a second or so,
// and only if somebody calls. It waits no longer than ctx and marksTime.
func (r *Records) PurgeMarks(ctx context.Context) (map[string]string, error) {
	key, now := r.marksKey, r.now()
	last, cached, fresh := r.marks.get(key, now)
	if fresh { // as nearly always, which costs no context
		return last.record, last.err
	}
	ctx, cancel := context.WithTimeout(ctx, marksTime)
	defer cancel()
	if cached && last.usable(r.maxAge(), now) {
		ctx, cancel = r.briefly(ctx, key)
		defer cancel()
	}
	answer, err := r.ask(ctx, r.marks, key, func() (entry, error) { return r.fetchMarks(key) })
	if err == nil {
		return answer.record, answer.err
	}
	// During the wait, the last marks may have expired or changed.
	if last, cached, _ = r.marks.get(key, r.now()); cached && last.usable(r.maxAge(), r.now()) {
		return last.record, nil
	}
	return nil, err
}

// briefly returns ctx with the time for which a lookup of key waits if the last
// answer can stand in: half of ctx's, and none if the last fetch failed.
func (r *Records) briefly(ctx context.Context, key string) (context.Context, context.CancelFunc) {
	if r.nodes.get(r.store.node(key)).breaker.failed(key) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	return half(ctx)
}

func (r *Records) fetchMarks(key string) (entry, error) {
	e, err := r.fetch(key, func(ctx context.Context) (schema.Record, error) {
		marks, err := r.store.marks(ctx, key)
		if err == nil {
			err = validMarks(key, marks)
		}
		return marks, err
	})
	e.ttl = r.shortened(marksTTL)
	return e, err
}

// validMarks returns an error if marks are more or longer than a purge writes.
func validMarks(key string, marks schema.Record) error {
	if n := len(marks); n > schema.MaxPurgeMarks {
		return fmt.Errorf("%s: %w: %d fields, more than %d", key, schema.ErrInvalidRecord, n, schema.MaxPurgeMarks)
	}
	for name, value := range marks {
		if len(name)+len(value) > maxMarkSize {
			return fmt.Errorf("%s: %w: a field and its value have more than %d bytes", key, schema.ErrInvalidRecord, maxMarkSize)
		}
	}
	return nil
}
