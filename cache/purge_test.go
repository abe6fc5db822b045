package cache

import (
	"testing"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// TestPurgeIsSeen: every gateway sees a purge after half a second, which is before
// a second has passed.
func TestPurgeIsSeen(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0, clusterReader...)
	for name, tt := range map[string]struct {
		cfg   *schema.Config
		purge schema.Redis
	}{
		"server":  purged(configAt(redistest.Start(t, reader...).Port(), asReader)),
		"cluster": purged(inCluster(c)),
	} {
		t.Run(name, func(t *testing.T) {
			gateways := []*Records{open(t, tt.cfg), open(t, tt.cfg)}
			var skips []func(time.Duration)
			for _, r := range gateways {
				skips = append(skips, skipping(r))
			}
			store := records.Open(tt.purge, prefix, nil)
			defer store.Close()
			seen := map[string]bool{"": true} // values of marks
			for i, purge := range []func() error{
				func() error { _, err := store.Purge(t.Context(), "a"); return err },
				func() error { _, err := store.Purge(t.Context(), "a"); return err },
				func() error { return store.PurgeAll(t.Context()) },
				func() error { return store.PurgeAll(t.Context()) },
			} {
				mark := []string{schema.PurgedClient("a"), schema.PurgedAll}[i/2]
				for _, r := range gateways { // which are fresh at the purge
					if marks, err := r.PurgeMarks(t.Context()); err != nil || !seen[marks[mark]] {
						t.Errorf("purge %d: got the marks %v, %v, want those before it", i, marks, err)
					}
				}
				if err := purge(); err != nil {
					t.Fatal(err)
				}
				var value string
				for g, r := range gateways {
					skips[g](marksTTL)
					marks, err := r.PurgeMarks(t.Context())
					if err != nil || g == 0 && seen[marks[mark]] || g > 0 && marks[mark] != value {
						t.Errorf("purge %d: gateway %d has the marks %v, %v, want a new one", i, g, marks, err)
					}
					value = marks[mark]
				}
				seen[value] = true
			}
		})
	}
}

// purged returns cfg, and the Redis of cfg for a writer.
func purged(cfg *schema.Config) (both struct {
	cfg   *schema.Config
	purge schema.Redis
}) {
	both.cfg, both.purge = cfg, cfg.Redis
	both.purge.Username, both.purge.Password = "", ""
	return both
}
