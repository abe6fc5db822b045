package main

import (
	"context"
	"fmt"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// fileRecords are records from files, by their keys without a prefix.
type fileRecords map[string]schema.Record

// readRecords returns the records in the files of the directory that a flag names, nil
// if none does.
func (r *workflowRun) readRecords(ctx context.Context, cfg *schema.Config) (enrich.Records, error) {
	if r.records == "" {
		return nil, nil
	}
	directory := reconcile.Directory{Path: r.records, Names: schema.NamesOf(cfg), Unread: func(path, reason string) {
		visible.Fprintf(r.stderr, "%s isn't read: %s\n", path, reason)
	}}
	all := fileRecords{}
	for page, err := range directory.Pages(ctx, "") {
		if err != nil {
			return nil, err
		}
		for kind, entries := range page.Records {
			for _, e := range entries {
				all[kind.Key("", e.ID)] = e.Properties
			}
		}
	}
	return all, nil
}

// Record implements [enrich.Records].
func (f fileRecords) Record(_ context.Context, kind schema.Kind, id string) (schema.Record, error) {
	key := kind.Key("", id)
	record, ok := f[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, schema.ErrNoRecord)
	}
	return record, nil
}
