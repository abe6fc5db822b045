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

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// syncRun is one run of a sync command: from a source into Redis.
type syncRun struct {
	target target
	tenant tenant

	every     time.Duration
	once      bool
	dryRun    bool
	force     bool
	maxDelete string
	health    string
	state     string
	listen    string
	path      string

	ctx    context.Context
	store  *records.Store
	cfg    *schema.Config // nil without a file
	print  printer
	log    *slog.Logger
	stderr io.Writer
}

// onSync returns the commands that synchronize the records with a source.
func onSync(stdout, stderr io.Writer) *cli.Command {
	r := &syncRun{stderr: stderr, log: slog.New(slog.NewTextHandler(visible.Log(stderr), nil))}
	r.print.out = stdout
	return &cli.Command{
		Name: "sync", Usage: "Keep the records in Redis as a Kinde tenant or a directory says",
		Commands: []*cli.Command{
			{Name: "kinde", Usage: "Make the records what a Kinde tenant says, once or again and again",
				Description: "Example:\n  m2m-token-enricher sync kinde -c kong.yml --client-secret-file secret --every 1m --state sync.state",
				Flags:       slices.Concat(r.tenant.flags(), r.runFlags(0), r.stateFlag(), r.target.flags()), Action: r.onStore((*syncRun).kinde)},
			{Name: "webhook", Usage: "Receive a Kinde tenant's events and update the records at once",
				Description: "Run \"sync kinde\" beside it: an event may get lost.\n\n" +
					"Example:\n  m2m-token-enricher sync webhook -c kong.yml --client-secret-file secret --listen 127.0.0.1:9544",
				Flags: slices.Concat(r.listenFlags(), r.tenant.flags(), r.target.flags()), Action: r.onStore((*syncRun).webhook)},
			{Name: "file", ArgsUsage: "DIRECTORY", Usage: "Make the records what the files of a directory say, and follow them",
				Description: "Example:\n  m2m-token-enricher sync file -c kong.yml --once --dry-run records",
				Flags:       slices.Concat(r.runFlags(5*time.Second), r.target.flags()), Action: r.onStore((*syncRun).file)},
		},
	}
}

func (r *syncRun) runFlags(every time.Duration) []cli.Flag {
	return []cli.Flag{
		&durationFlag{Name: "every", Destination: &r.every, Value: every, Usage: "Repeat after about this `DURATION` until the process is told to end; 0: once"},
		&cli.BoolFlag{Name: "once", Destination: &r.once, HideDefault: true, Usage: "Run once, whatever --every says"},
		&cli.BoolFlag{Name: "dry-run", Destination: &r.dryRun, HideDefault: true, Usage: "Only show what would change; implies --once"},
		jsonFlag(&r.print, "Print JSON, one value a line"),
		&cli.StringFlag{Name: "max-delete", Destination: &r.maxDelete, Value: "10%", Usage: "Delete no more records of a kind in a run than this `LIMIT`, a share or a number"},
		&cli.BoolFlag{Name: "force", Destination: &r.force, HideDefault: true, Usage: "Delete however many are gone"},
		&cli.StringFlag{Name: "health", Destination: &r.health, Usage: "Answer /healthz at this `ADDRESS`, such as 127.0.0.1:9543, while it repeats"},
	}
}

func (r *syncRun) stateFlag() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "state", Destination: &r.state, Usage: "Keep how far a run came in this `FILE`, so that the next one resumes there"}}
}

func (r *syncRun) listenFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Destination: &r.listen, Usage: "Receive events, and answer /healthz, at this `ADDRESS`, such as 127.0.0.1:9544"},
		&cli.StringFlag{Name: "path", Destination: &r.path, Value: "/kinde/webhook", Usage: "Receive events at this `PATH`"},
	}
}

// onStore runs a command with the store open.
func (r *syncRun) onStore(command func(*syncRun, []string) error) cli.ActionFunc {
	return interruptible(func(ctx context.Context, cmd *cli.Command) (err error) {
		if r.store, r.cfg, err = r.target.store(); err != nil {
			return err
		}
		r.ctx = ctx
		return errors.Join(command(r, cmd.Args().Slice()), r.store.Close())
	})
}

// resync is how often a source that stays as it was is compared with Redis
// anyway, which somebody else may have written to.
const resync = 10 * time.Minute

// from makes the records what source says, once or again and again. version,
// if it isn't nil, changes when the source does.
func (r *syncRun) from(source reconcile.Source, checkpoint *reconcile.Checkpoint, version func() (string, error)) error {
	limit, err := reconcile.ParseLimit(r.maxDelete)
	if err != nil {
		return usageError{fmt.Errorf("--max-delete: %w", err)}
	}
	if r.force {
		limit = reconcile.Unlimited
	}
	run := &reconcile.Run{Source: source, Store: r.store, Mode: records.Mode(r.dryRun), MaxDelete: limit, Checkpoint: checkpoint}
	if r.dryRun {
		run.Checkpoint = nil
		run.Changed, run.Gone = r.print.change, r.print.gone
	}
	if r.dryRun || r.once || r.every <= 0 {
		summary, err := run.Do(r.ctx)
		return errors.Join(hinted(err), r.print.summary(summary, r.dryRun))
	}
	return r.repeat(&reconcile.Loop{Every: r.every, Run: r.whenChanged(version, func(ctx context.Context) error {
		summary, err := run.Do(ctx)
		r.tell(summary, err)
		return err
	})})
}

// whenChanged returns run without the repetitions that have nothing to do.
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

// hinted says how to go on.
func hinted(err error) error {
	if errors.Is(err, reconcile.ErrTooManyDeletions) {
		return fmt.Errorf("%w; --dry-run shows them, --force deletes them", err)
	}
	if errors.Is(err, reconcile.ErrInUse) {
		return fmt.Errorf("%w; give each run its own --state, or wait until the other one ends", err)
	}
	return err
}

// tell logs a run that did something or failed.
func (r *syncRun) tell(summary reconcile.Summary, err error) {
	var done []any
	for _, kind := range []schema.Kind{schema.Application, schema.Organization, schema.User} {
		if c := summary[kind]; c.New+c.Changed+c.Deleted > 0 {
			done = append(done, slog.Group(groupOf(kind), "new", c.New, "changed", c.Changed, "deleted", c.Deleted))
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

// repeat runs loop until the process is told to end.
func (r *syncRun) repeat(loop *reconcile.Loop) error {
	if r.health == "" {
		loop.Until(r.ctx)
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", loop)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	served := make(chan error, 1)
	listening, err := listen(r.health)
	if err != nil {
		return err
	}
	go func() {
		served <- serveHTTP(ctx, listening, mux)
		cancel() // without health nobody would know that it goes on
	}()
	loop.Until(ctx)
	cancel()
	return <-served
}
