package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/schema"
)

// flags are those of run, without the target's.
func (r *workflowRun) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "client", Destination: &r.client, Usage: "Run it for a token of this `CLIENT_ID`"},
		audienceFlag(&r.audience),
		&cli.StringFlag{Name: "event", Destination: &r.event, Usage: "Run it on Kinde's event in this JSON `FILE`, - for standard input"},
		&cli.StringFlag{Name: "records", Destination: &r.records, Usage: "Read the records from this `DIRECTORY`, in the form of \"sync file\", instead of Redis"},
		jsonFlag(&r.print, "Print JSON"),
	}
}

// run runs the workflow on one event.
func (r *workflowRun) run(ctx context.Context, cmd *cli.Command) error {
	event, err := r.chosenEvent()
	if err != nil {
		return err
	}
	r.target.withoutRedis = r.records != ""
	path := cmd.Args().First()
	cfg, err := r.config(path, event.Domain)
	if err == nil {
		cfg, err = r.target.override(cfg)
	}
	if err != nil {
		return err
	}
	records, err := r.readRecords(ctx, cfg)
	if err != nil {
		return err
	}
	x, err := diagnose.ExplainEvent(ctx, cfg, event, records)
	if err != nil {
		return summarized(ofWorkflow(err), "workflow check "+path)
	}
	if err := r.print.explanation(x); err != nil {
		return err
	}
	if x.Outcome == string(enrich.WorkflowFailed) {
		return exitFailed
	}
	return verdict(x)
}

// chosenEvent returns the event that the flags choose.
func (r *workflowRun) chosenEvent() (enrich.Event, error) {
	switch {
	case (r.client == "") == (r.event == ""):
		return enrich.Event{}, usageError{errors.New("give --client CLIENT_ID or --event FILE, and not both")}
	case r.event != "" && len(r.audience) > 0:
		return enrich.Event{}, usageError{errors.New("--audience goes with --client; an event has its own")}
	case r.records == "" && r.target.file == "":
		return enrich.Event{}, usageError{errors.New("give --records DIRECTORY or -c KONG_YML")}
	case r.event != "":
		return readEvent(r.event)
	}
	return enrich.Event{ClientID: r.client, Audience: r.audience}, nil
}

// config returns the configuration in the file, or else one without claims, with the
// workflow at path and, unless it is empty, the issuer.
func (r *workflowRun) config(path, issuer string) (*schema.Config, error) {
	path, err := filepath.Abs(path) // as in a configuration
	if err != nil {
		return nil, err
	}
	configs, err := r.target.configs()
	if err != nil {
		return nil, err
	}
	if len(configs) == 0 {
		bare, err := withoutClaims(cmp.Or(issuer, "https://example.kinde.com"))
		if err != nil {
			return nil, err
		}
		configs = append(configs, bare)
	}
	cfg := *withWorkflow(configs)
	cfg.Workflow.Path, cfg.Issuer = path, cmp.Or(issuer, cfg.Issuer)
	if err := schema.CheckTenant(cfg.Issuer); cfg.Issuer != "" && err != nil { // the file may have no workflow, and check reads no issuer
		return nil, &schema.FieldError{Path: "config.issuer", Problem: err.Error()}
	}
	return &cfg, nil
}

// withWorkflow returns the first of configs that has a workflow, or else the first.
func withWorkflow(configs []*schema.Config) *schema.Config {
	for _, cfg := range configs {
		if cfg.HasWorkflow() {
			return cfg
		}
	}
	return first(configs)
}

// withoutClaims returns a configuration for an issuer that maps nothing.
func withoutClaims(issuer string) (*schema.Config, error) {
	const unread = "/unread" // the command replaces what is there, or doesn't need it
	cfg, err := schema.Parse(map[string]any{
		"issuer": issuer, "management_audiences": []any{issuer + "/api"}, // for which createKindeAPI gets its token
		"redis": map[string]any{"host": "127.0.0.1"}, "signing": map[string]any{"jwks_file": unread}, "workflow": map[string]any{"path": unread},
	})
	if err != nil {
		return nil, fmt.Errorf("the event's domain: %w", err)
	}
	return cfg, nil
}
