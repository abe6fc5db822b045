package cache

import (
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// promptly is how soon a change must be served with cache.invalidation.
const promptly = 100 * time.Millisecond

// told makes a long ttl harmless: Redis tells of changes.
func told(c map[string]any) {
	c["cache"] = map[string]any{"ttl": 3600.0, "negative_ttl": 3600.0, "invalidation": true}
}

// waitTracked waits until every master tells of changes.
func waitTracked(t *testing.T, r *Records) {
	t.Helper()
	eventually(t, "tracks changes", func() bool {
		r.tracker.mu.Lock()
		defer r.tracker.mu.Unlock()
		for where, err := range r.tracker.failures {
			if err != nil {
				return false
			}
			_ = where
		}
		return len(r.tracker.failures) > 1
	})
}

func region(t *testing.T, r *Records, id string) string {
	t.Helper()
	record, err := r.Record(t.Context(), schema.Application, id)
	if err != nil {
		return err.Error()
	}
	return record["region"]
}

func TestChangeIsServedAtOnce(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, told)
	write(t, server, prefix+"app:a", "region", "eu")
	waitTracked(t, r)
	if got := region(t, r, "a"); got != "eu" {
		t.Fatalf("got %s", got)
	}
	for i := range 20 {
		want := []string{"us", "eu"}[i%2]
		write(t, server, prefix+"app:a", "region", want)
		changed := time.Now()
		eventually(t, "serves the change", func() bool { return region(t, r, "a") == want })
		if took := time.Since(changed); took > promptly {
			t.Errorf("served after %v", took)
		}
	}
}

// TestWarnings: a trouble is told of once and then every hour, one that comes
// again after a minute at the earliest.
func TestWarnings(t *testing.T) {
	tr := newTracker(configAt(t, 1, told), newTier(1, 1))
	now := time.Now()
	expect := func(what string, warned bool) {
		t.Helper()
		if err := tr.warn(now); (err != nil) != warned {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("no trouble", false)
	tr.report("a", errors.New("lost"))
	expect("the first time", true)
	tr.report("a", errors.New("lost again"))
	expect("it lasts", false)
	now = now.Add(warnAgain - 1)
	expect("it lasts for less than an hour", false)
	now = now.Add(1)
	expect("it lasts for an hour", true)
	tr.report("a", nil)
	expect("it is over", false)
	tr.report("a", errors.New("lost"))
	now = now.Add(warnAnother - 1)
	expect("it came again at once", false)
	now = now.Add(1)
	expect("it came again", true)
}
