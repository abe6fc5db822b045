package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// printer prints results for people or as JSON lines.
type printer struct {
	out  io.Writer
	json bool
}

// jsonFlag returns a flag that makes p print JSON.
func jsonFlag(p *printer, usage string) cli.Flag {
	return &cli.BoolFlag{Name: "json", Destination: &p.json, HideDefault: true, Usage: usage}
}

func (p *printer) value(v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := p.out.Write(visible.JSON(text.Bytes()))
	return err
}

// change prints the differences of a record, a property a line.
func (p *printer) change(kind schema.Kind, c records.Change) error {
	if p.json {
		return p.value(struct {
			Kind string `json:"kind"`
			records.Change
		}{kind.Short(), c})
	}
	sign := "~"
	switch {
	case c.Unchanged():
		sign = "="
	case len(c.Before) == 0:
		sign = "+"
	}
	visible.Fprintf(p.out, "%s %s %s\n", sign, kind.Short(), visible.Value(c.ID))
	all := maps.Clone(c.After)
	maps.Copy(all, c.Before)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, had := c.Before[name]
		after, has := c.After[name]
		name = visible.Word(name)
		switch {
		case !had:
			visible.Fprintf(p.out, "  + %s=%s\n", name, visible.Value(after))
		case !has:
			visible.Fprintf(p.out, "  - %s=%s\n", name, visible.Value(before))
		case before != after:
			visible.Fprintf(p.out, "  ~ %s=%s, was %s\n", name, visible.Value(after), visible.Value(before))
		}
	}
	return nil
}

// gone prints that a record is deleted.
func (p *printer) gone(kind schema.Kind, id string) error {
	if p.json {
		return p.value(map[string]string{"kind": kind.Short(), "deleted": id})
	}
	visible.Fprintf(p.out, "- %s %s\n", kind.Short(), visible.Value(id))
	return nil
}

// summary prints the counts of a run.
func (p *printer) summary(s reconcile.Summary, dryRun bool) error {
	counts := map[string]*reconcile.Counts{}
	for kind, c := range s {
		counts[kind.Short()] = c
	}
	if p.json {
		return p.value(map[string]any{"summary": counts})
	}
	would := map[bool]string{true: "would be "}[dryRun]
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c := counts[name]
		visible.Fprintf(p.out, "%s: %s%d new, %d changed, %d unchanged, %d deleted\n", name, would, c.New, c.Changed, c.Unchanged, c.Deleted)
	}
	return nil
}
