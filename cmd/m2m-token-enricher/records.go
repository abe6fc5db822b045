package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// storeRun is one run of a command on the records in Redis.
type storeRun struct {
	target target
	dryRun bool
	print  printer
	stderr io.Writer

	ctx   context.Context
	store *records.Store
	cfg   *schema.Config // nil without a file
}

func newStoreRun(stdout, stderr io.Writer) storeRun {
	return storeRun{print: printer{out: stdout}, stderr: stderr}
}

func (r *storeRun) mode() records.Mode { return records.Mode(r.dryRun) }

// onStore runs a command with the store open.
func (r *storeRun) onStore(command func(args []string) error) cli.ActionFunc {
	return interruptible(func(ctx context.Context, cmd *cli.Command) (err error) {
		if r.store, r.cfg, err = r.target.store(); err != nil {
			return err
		}
		r.ctx = ctx
		return errors.Join(command(cmd.Args().Slice()), r.store.Close())
	})
}

// recordsRun is one run of a command on the records of a kind.
type recordsRun struct {
	storeRun
	kind  schema.Kind
	match string
	file  importFile
}

// onRecords returns the commands on the records of a kind.
func onRecords(kind schema.Kind, stdout, stderr io.Writer) *cli.Command {
	r := &recordsRun{storeRun: newStoreRun(stdout, stderr), kind: kind}
	asJSON := jsonFlag(&r.print, "Print JSON, one value a line")
	dryRun := &cli.BoolFlag{Name: "dry-run", Destination: &r.dryRun, HideDefault: true, Usage: "Only show what would change"}
	match := &cli.StringFlag{Name: "match", Destination: &r.match, Value: "*",
		Usage: "Only identifiers that match this `PATTERN`: * is any text, ? any character, [ab] one of them"}
	command := func(name, args, usage, example string, run func([]string) error, flags ...cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, ArgsUsage: args, Usage: usage, Flags: slices.Concat(flags, []cli.Flag{asJSON}, r.target.flags()),
			Description: described("", kind.Short()+" "+name+" -c kong.yml "+example), Action: r.onStore(run),
		}
	}
	return &cli.Command{
		Name: kind.Short(), Usage: "Read and write the records of " + string(kind) + "s in Redis",
		Description: "Choose the Redis with -c KONG_YML, or with --host and --prefix. Gateways use a change within seconds.",
		Commands: []*cli.Command{
			command("get", "ID", "Print a record", "my_id", r.get),
			command("set", "ID KEY=VALUE…", "Set properties of a record, and keep the others", "my_id name=value", r.set, dryRun),
			command("unset", "ID KEY…", "Remove properties of a record", "my_id name", r.unset, dryRun),
			command("delete", "ID…", "Delete records", "--dry-run my_id", r.delete, dryRun),
			command("list", "", "Print the identifiers of records", "--match 'my_*'", r.list, match),
			command("import", "FILE", "Write the records of a JSON Lines or CSV file; - is standard input", "--dry-run records.jsonl",
				r.importFile, append(r.file.flags(), dryRun)...),
			command("export", "", "Print records as JSON Lines, which import reads", "> records.jsonl", r.export, match),
		},
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
			return usageError{fmt.Errorf("%s has no value; to remove the property, use unset", name)}
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

// export prints what import reads. It leaves out, with a warning, what import refuses.
func (r *recordsRun) export([]string) error {
	return r.each(func(ids []string) error {
		read, err := r.store.Read(r.ctx, r.kind, ids)
		if err != nil {
			return err
		}
		for i, properties := range read {
			switch {
			case len(properties) == 0:
				continue // deleted meanwhile
			case !schema.ValidID(ids[i]):
				visible.Fprintf(r.stderr, "left out, because no gateway looks it up: the identifier %.300q is not %s\n", ids[i], schema.IDForm)
				continue
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
