package diagnose

import (
	"context"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/plugin/workflow"
	"m2m-token-enricher/schema"
)

// Lookup is a record that was found.
type Lookup struct {
	Kind schema.Kind `json:"kind"`
	ID   string      `json:"id"`
}

// Workflow is the workflow of a configuration, and what it did.
type Workflow struct {
	File string   `json:"file"`
	ID   string   `json:"id"`
	Sets []string `json:"sets,omitempty"` // names of the claims that it set
}

// CheckWorkflow describes the workflow of a configuration without running it. The error
// joins every error in its file.
func CheckWorkflow(cfg *schema.Config) (workflow.Info, error) {
	g, err := gateway.Open(cfg, gateway.Options{})
	if err != nil {
		return workflow.Info{}, err
	}
	info, _ := g.Workflow()
	return info, g.Close()
}

// timedWorkflow measures a workflow, and gives it as much time as a gateway does.
type timedWorkflow struct {
	enrich.Workflow
	limit time.Duration
	ran   time.Duration // zero if it didn't run
}

// Run implements [enrich.Workflow].
func (w *timedWorkflow) Run(ctx context.Context, event enrich.Event, given []splice.Member, related enrich.Related) ([]splice.Member, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	started := time.Now()
	defer func() { w.ran = time.Since(started) }()
	return w.Workflow.Run(ctx, event, given, related)
}
