package diagnose

import (
	"context"
	"fmt"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
)

// checkReuse returns findings about what keeps answers from being reused or shared. It
// reads from Redis what reuse needs beside records.
func checkReuse(ctx context.Context, g *gateway.Gateway) []Finding {
	cfg := g.Config
	switch {
	case !cfg.Reuse.Enabled:
		return nil
	case cfg.Mode != schema.ModeEnforce || cfg.EnforceShare == 0:
		return []Finding{{What: "reuse: no answer is reused, because mode is observe or enforce_share is 0", Warning: true}}
	}
	if _, err := g.Records.PurgeMarks(ctx); err != nil {
		return []Finding{{What: "reuse: no answer is reused", Err: err}}
	}
	findings := []Finding{{What: fmt.Sprintf("reuse: for up to %d s", cfg.Reuse.MaxAge)}}
	if cfg.Reuse.Shared {
		_, err := g.Records.SharedAnswer(ctx, "check") // no answer has this name
		findings = append(findings, Finding{What: "reuse.shared", Err: err})
	}
	return findings
}
