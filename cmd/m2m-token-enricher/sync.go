package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// syncRun is one run of a sync command: from a source into Redis.
type syncRun struct {
	storeRun
	tenant tenant
	log    *slog.Logger

	every     time.Duration
	once      bool
	force     bool
	maxDelete string
	health    string
	state     string
	listen    string
	path      string
}

// onSync returns the commands that synchronize the records with a source.
func onSync(stdout, stderr io.Writer) *cli.Command {
	every := func(interval time.Duration) *syncRun {
		return &syncRun{storeRun: newStoreRun(stdout, stderr), every: interval, log: slog.New(slog.NewTextHandler(visible.Log(stderr), nil))}
	}
	tenant, files := every(0), every(5*time.Second)
	return &cli.Command{
		Name: "sync", Usage: "Keep the records in Redis equal to a Kinde tenant or to files",
		Description: "\"kinde\" copies a whole tenant, \"webhook\" applies its events at once, and \"file\" copies a directory. Records that the\n" +
			"source doesn't have are deleted. With --dry-run you see what would change.",
		Commands: []*cli.Command{
			{Name: "kinde", Usage: "Copy a Kinde tenant, once or repeatedly", Action: tenant.onStore(tenant.kinde),
				Description: described("", "sync kinde -c kong.yml --client-secret-file secret --every 1m --state sync.state"),
				Flags:       slices.Concat(tenant.tenant.flags(), tenant.runFlags(), tenant.stateFlag(), tenant.target.flags())},
			{Name: "webhook", Usage: "Receive a Kinde tenant's events and apply them at once", Action: tenant.onStore(tenant.webhook),
				Description: described("Run \"sync kinde\", too, because events may get lost.", "sync webhook -c kong.yml --client-secret-file secret --listen 127.0.0.1:9544"),
				Flags:       slices.Concat(tenant.listenFlags(), tenant.tenant.flags(), tenant.target.flags())},
			{Name: "file", ArgsUsage: "DIRECTORY", Usage: "Copy the files of a directory, and again when they change", Action: files.onStore(files.file),
				Description: described("", "sync file -c kong.yml --once --dry-run records"),
				Flags:       slices.Concat(files.runFlags(), files.target.flags())},
		},
	}
}

func (r *syncRun) runFlags() []cli.Flag {
	return []cli.Flag{
		durationFlag("every", &r.every, "Repeat after about this `DURATION` until you stop it; 0: run once"),
		&cli.BoolFlag{Name: "once", Destination: &r.once, HideDefault: true, Usage: "Run once, whatever --every says"},
		&cli.BoolFlag{Name: "dry-run", Destination: &r.dryRun, HideDefault: true, Usage: "Only show what would change; implies --once"},
		jsonFlag(&r.print, "Print JSON, one value a line"),
		&cli.StringFlag{Name: "max-delete", Destination: &r.maxDelete, Value: "10%", Usage: "Refuse a run that would delete more records of a kind than this `LIMIT`, a share or a number"},
		&cli.BoolFlag{Name: "force", Destination: &r.force, HideDefault: true, Usage: "Delete any number of records"},
		&cli.StringFlag{Name: "health", Destination: &r.health, Usage: "Answer /healthz at this `ADDRESS`, such as 127.0.0.1:9543, while it repeats"},
	}
}

func (r *syncRun) stateFlag() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "state", Destination: &r.state, Usage: "Save the progress of a run in this `FILE`; the next run resumes there"}}
}

func (r *syncRun) listenFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Destination: &r.listen, Usage: "Receive events, and answer /healthz, at this `ADDRESS`, such as 127.0.0.1:9544"},
		&cli.StringFlag{Name: "path", Destination: &r.path, Value: "/kinde/webhook", Usage: "Receive events at this `PATH`"},
	}
}

// resync is how often an unchanged source is compared with Redis anyway, because
// somebody else may have written there.
const resync = 10 * time.Minute

// file copies the files of a directory.
func (r *syncRun) file(args []string) error {
	directory := reconcile.Directory{Path: args[0], Names: r.target.names, Unread: r.warnOnce()}
	return r.from(directory, nil, directory.Version)
}

// maxUnread is how many files that aren't read are named.
const maxUnread = 100

// warnOnce returns a function that logs each file that isn't read once.
func (r *syncRun) warnOnce() func(path, reason string) {
	named := map[string]bool{}
	return func(path, reason string) {
		if named[path] || len(named) > maxUnread {
			return
		}
		if named[path] = true; len(named) > maxUnread {
			r.log.Warn("more files aren't read; the others aren't logged", "limit", maxUnread)
			return
		}
		r.log.Warn("a file isn't read", "path", path, "reason", reason)
	}
}

// from copies the records of source to Redis, once or repeatedly. version, if it
// isn't nil, changes when the source does.
func (r *syncRun) from(source reconcile.Source, checkpoint *reconcile.Checkpoint, version func() (string, error)) error {
	limit, err := reconcile.ParseLimit(r.maxDelete)
	if err != nil {
		return usageError{fmt.Errorf("--max-delete: %w", err)}
	}
	if r.force {
		limit = reconcile.Unlimited
	}
	run := &reconcile.Run{Source: source, Store: r.store, Mode: r.mode(), MaxDelete: limit, Checkpoint: checkpoint}
	if r.dryRun {
		run.Checkpoint = nil
		run.Changed, run.Deleted = r.print.change, r.print.gone
	}
	if r.dryRun || r.once || r.every <= 0 {
		summary, err := run.Do(r.ctx)
		return errors.Join(hinted(err), r.print.summary(summary, r.dryRun))
	}
	return r.repeat(&reconcile.Loop{Every: r.every, Run: r.whenChanged(version, func(ctx context.Context) error {
		summary, err := run.Do(ctx)
		r.logRun(summary, err)
		return err
	})})
}

// whenChanged returns run without the repetitions that would change nothing.
func (r *syncRun) whenChanged(version func() (string, error), run func(context.Context) error) func(context.Context) error {
	if version == nil {
		return run
	}
	var done string
	var at time.Time
	return func(ctx context.Context) error {
		now, err := version()
		if err == nil && now == done && time.Since(at) < resync {
			return nil
		}
		if err := run(ctx); err != nil {
			return err
		}
		done, at = now, time.Now()
		return nil
	}
}

// hinted adds the next step to an error.
func hinted(err error) error {
	if errors.Is(err, reconcile.ErrTooManyDeletions) {
		return fmt.Errorf("%w; --dry-run shows them, --force deletes them", err)
	}
	if errors.Is(err, reconcile.ErrInUse) {
		return fmt.Errorf("%w; give each run its own --state, or wait until the other one ends", err)
	}
	return err
}

// logRun logs a run that changed something or failed.
func (r *syncRun) logRun(summary reconcile.Summary, err error) {
	var done []any
	for _, kind := range schema.Kinds {
		if c := summary[kind]; c.New+c.Changed+c.Deleted > 0 {
			done = append(done, slog.Group(kind.Short(), "new", c.New, "changed", c.Changed, "deleted", c.Deleted))
		}
	}
	switch {
	case errors.Is(err, reconcile.ErrIncomplete):
		r.log.Error("not all synchronized", append(done, "error", hinted(err))...)
	case err != nil && r.ctx.Err() == nil:
		r.log.Error("not synchronized", append(done, "error", hinted(err))...)
	case len(done) > 0:
		r.log.Info("synchronized", done...)
	}
}

// repeat runs loop until the context ends.
func (r *syncRun) repeat(loop *reconcile.Loop) error {
	if r.health == "" {
		loop.Until(r.ctx)
		return nil
	}
	listening, err := listen(r.health)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", loop)
	both, ctx := errgroup.WithContext(r.ctx) // without health, nobody would know whether the loop still runs
	both.Go(func() error { return serveHTTP(ctx, listening, mux) })
	both.Go(func() error { loop.Until(ctx); return nil })
	return both.Wait()
}
