package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"m2m-token-enricher/cache/records"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

// recordKinds are the groups of commands on records, by their name.
var recordKinds = map[string]schema.Kind{"app": schema.Application, "org": schema.Organization, "user": schema.User}

// recordsRun is one run of a command on records.
type recordsRun struct {
	kind   schema.Kind
	target target
	match  string
	dryRun bool
	file   importFile

	ctx    context.Context
	store  *records.Store
	print  printer
	stderr io.Writer
}

// onRecords runs a command on the records of kind, which args name.
func onRecords(group string, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := &recordsRun{kind: recordKinds[group], ctx: ctx, stderr: stderr}
	run.print.out = stdout
	return runVerb(group, run.verbs(), args, stderr)
}

func (r *recordsRun) verbs() map[string]verb {
	type flags = []func(*flag.FlagSet)
	target, asJSON := r.target.flags, r.jsonFlag
	return map[string]verb{
		"get":    {"[-c KONG_YML] [--json] ID", 1, 1, flags{target, asJSON}, r.onStore((*recordsRun).get)},
		"set":    {"[-c KONG_YML] [--dry-run] [--json] ID KEY=VALUE…", 2, unlimited, flags{target, asJSON, r.dryRunFlag}, r.onStore((*recordsRun).set)},
		"unset":  {"[-c KONG_YML] [--dry-run] [--json] ID KEY…", 2, unlimited, flags{target, asJSON, r.dryRunFlag}, r.onStore((*recordsRun).unset)},
		"delete": {"[-c KONG_YML] [--dry-run] [--json] ID…", 1, unlimited, flags{target, asJSON, r.dryRunFlag}, r.onStore((*recordsRun).delete)},
		"list":   {"[-c KONG_YML] [--match PATTERN] [--json]", 0, 0, flags{target, asJSON, r.matchFlag}, r.onStore((*recordsRun).list)},
		"import": {"[-c KONG_YML] [--dry-run] [--skip-bad] [--from LINE] [--format jsonl|csv] [--json] FILE", 1, 1,
			flags{target, asJSON, r.dryRunFlag, r.file.flags}, r.onStore((*recordsRun).importFile)},
		"export": {"[-c KONG_YML] [--match PATTERN] [--json]", 0, 0, flags{target, asJSON, r.matchFlag}, r.onStore((*recordsRun).export)},
	}
}

func (r *recordsRun) jsonFlag(set *flag.FlagSet) {
	set.BoolVar(&r.print.json, "json", false, "print JSON, one value a line")
}

func (r *recordsRun) dryRunFlag(set *flag.FlagSet) {
	set.BoolVar(&r.dryRun, "dry-run", false, "only show what would change")
}

func (r *recordsRun) matchFlag(set *flag.FlagSet) {
	set.StringVar(&r.match, "match", "*", "identifiers that match: * any text, ? any character, [ab] one of them")
}

func (r *recordsRun) mode() records.Mode { return records.Mode(r.dryRun) }

// onStore runs a command with the store open.
func (r *recordsRun) onStore(command func(*recordsRun, []string) error) func([]string) error {
	return func(args []string) error {
		store, _, err := r.target.store()
		if err != nil {
			return err
		}
		r.store = store
		return errors.Join(command(r, args), store.Close())
	}
}

func (r *recordsRun) get(args []string) error {
	properties, err := r.store.Get(r.ctx, r.kind, args[0])
	if err != nil {
		return err
	}
	if r.print.json {
		return r.print.value(records.Entry{ID: args[0], Properties: properties})
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		visible.Fprintf(r.print.out, "%s=%s\n", visible.Word(name), visible.Value(properties[name]))
	}
	return nil
}

func (r *recordsRun) set(args []string) error {
	properties := schema.Record{}
	for _, arg := range args[1:] {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok || name == "":
			return usageError{fmt.Errorf("%q is not of the form KEY=VALUE", arg)}
		case value == "":
			return usageError{fmt.Errorf("%s has no value, which is the same as no property: use unset", name)}
		}
		properties[name] = value
	}
	return r.patch(args[0], properties, nil)
}

func (r *recordsRun) unset(args []string) error { return r.patch(args[0], nil, args[1:]) }

func (r *recordsRun) patch(id string, set schema.Record, unset []string) error {
	change, err := r.store.Patch(r.ctx, r.kind, id, set, unset, r.mode())
	if err != nil {
		return err
	}
	return r.print.change(r.kind, change)
}

func (r *recordsRun) delete(args []string) error {
	gone, err := r.store.Delete(r.ctx, r.kind, args, r.mode())
	for _, id := range gone {
		err = errors.Join(err, r.print.gone(r.kind, id))
	}
	for _, id := range args {
		if err == nil && !slices.Contains(gone, id) {
			err = fmt.Errorf("%s: %w", id, schema.ErrNoRecord)
		}
	}
	return err
}

// list prints each identifier once.
func (r *recordsRun) list([]string) error {
	return r.each(func(ids []string) error {
		for _, id := range ids {
			if !r.print.json {
				visible.Fprintf(r.print.out, "%s\n", visible.Value(id))
			} else if err := r.print.value(map[string]string{"id": id}); err != nil {
				return err
			}
		}
		return nil
	})
}

// export prints what import reads.
func (r *recordsRun) export([]string) error {
	return r.each(func(ids []string) error {
		read, err := r.store.Read(r.ctx, r.kind, ids)
		if err != nil {
			return err
		}
		for i, properties := range read {
			if len(properties) == 0 {
				continue // deleted meanwhile
			}
			if err := r.print.value(records.Entry{ID: ids[i], Properties: properties}); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls page with the identifiers that match, each once.
func (r *recordsRun) each(page func(ids []string) error) error {
	seen := map[string]struct{}{}
	var failed error
	err := r.store.IDs(r.ctx, r.kind, r.match, func(ids []string) bool {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			_, again := seen[id]
			seen[id] = struct{}{}
			return again
		})
		failed = page(ids)
		return failed == nil
	})
	return errors.Join(failed, err)
}
