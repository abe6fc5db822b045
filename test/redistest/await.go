package redistest

import (
	"context"
	"testing"
	"time"
)

// await asks until done has no objection left. The test ends with the last
// objection if that takes longer than a server may take to start.
func await(tb testing.TB, what string, done func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := done(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%s: %v", what, err)
		case <-ticker.C:
		}
	}
}
