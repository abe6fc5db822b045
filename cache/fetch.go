package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

// fetchRecord fetches the record of kind at key.
func (r *Records) fetchRecord(key string, kind schema.Kind) (entry, error) {
	e, err := r.fetch(key, func(ctx context.Context) (schema.Record, error) {
		return r.store.fetch(ctx, key, r.properties[kind])
	})
	e.ttl, e.properties = r.ttl(e.err), r.properties[kind]
	return e, err
}

// fetch asks Redis by read. The error wraps schema.ErrUnavailable.
func (r *Records) fetch(key string, read func(context.Context) (schema.Record, error)) (e entry, err error) {
	wait, cancel := context.WithTimeout(r.ctx, r.budget())
	defer cancel()
	err = r.nodes.get(r.store.node(key)).ask(wait, key, r.now, r.budget(), func() error {
		e.asked = r.now()
		e.record, e.err = r.read(read)
		return e.err
	})
	switch {
	case !errors.Is(err, schema.ErrUnavailable):
		return e, nil
	case e.asked.IsZero(): // the store's errors name the key
		return entry{}, fmt.Errorf("%s: %w", key, err)
	}
	return entry{}, err
}

// budget is how long one fetch may take.
func (r *Records) budget() time.Duration { return connect.Budget(r.cfg.Redis) }

// ttl is how long an answer is fresh: up to a tenth less than configured. So
// records that were fetched together don't expire together.
func (r *Records) ttl(err error) time.Duration {
	ttl := seconds(r.cfg.Cache.TTL)
	if err != nil {
		ttl = seconds(r.cfg.Cache.NegativeTTL)
	}
	return r.shortened(ttl)
}

// shortened returns d less up to a tenth.
func (r *Records) shortened(d time.Duration) time.Duration {
	return d - time.Duration(r.jitter()*float64(d/10))
}

func (r *Records) read(read func(context.Context) (schema.Record, error)) (record schema.Record, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.budget())
	defer cancel()
	err = safely(func() (err error) { record, err = read(ctx); return err })
	return record, err
}
