package diagnose

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/splice"
)

// endless is a workflow that runs until its time has ended.
type endless struct{ enrich.Workflow }

func (endless) Run(ctx context.Context, _ enrich.Event, _ []splice.Member, _ enrich.Related) ([]splice.Member, []string, error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

// TestWorkflowIsLimited: a workflow has as much time as in a gateway, and how long it
// ran is known.
func TestWorkflowIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &timedWorkflow{Workflow: endless{}, limit: 50 * time.Millisecond}
		if _, _, err := w.Run(t.Context(), enrich.Event{}, nil, nil); err == nil || w.ran != w.limit {
			t.Errorf("got %v after %v, want an error after %v", err, w.ran, w.limit)
		}
	})
}
