package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"m2m-token-enricher/cache/reconcile"
	"m2m-token-enricher/cache/records"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
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

// onSync runs a sync command.
func onSync(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := &syncRun{ctx: ctx, stderr: stderr, log: slog.New(slog.NewTextHandler(visible.Log(stderr), nil))}
	run.print.out = stdout
	return runVerb("sync", run.verbs(), args, stderr)
}

func (r *syncRun) verbs() map[string]verb {
	type flags = []func(*flag.FlagSet)
	return map[string]verb{
		"kinde": {"[-c KONG_YML] [--every 1m | --once] [--dry-run] [--max-delete 10%] [--force] [--state FILE] [--health ADDRESS]", 0, 0,
			flags{r.target.flags, r.tenant.flags, r.runFlags(0), r.stateFlag}, r.onStore((*syncRun).kinde)},
		"webhook": {"[-c KONG_YML] --listen ADDRESS [--path /kinde/webhook]", 0, 0,
			flags{r.target.flags, r.tenant.flags, r.listenFlags}, r.onStore((*syncRun).webhook)},
		"file": {"[-c KONG_YML] [--every 5s | --once] [--dry-run] [--max-delete 10%] [--force] [--health ADDRESS] DIRECTORY", 1, 1,
			flags{r.target.flags, r.runFlags(5 * time.Second)}, r.onStore((*syncRun).file)},
	}
}

func (r *syncRun) runFlags(every time.Duration) func(*flag.FlagSet) {
	return func(set *flag.FlagSet) {
		set.DurationVar(&r.every, "every", every, "repeat, about so often, until the process is told to end; 0: once")
		set.BoolVar(&r.once, "once", false, "run once, whatever --every says")
		set.BoolVar(&r.dryRun, "dry-run", false, "only show what would change; implies --once")
		set.BoolVar(&r.print.json, "json", false, "print JSON, one value a line")
		set.StringVar(&r.maxDelete, "max-delete", "10%", "delete no more records of a kind in a run: a share or a number")
		set.BoolVar(&r.force, "force", false, "delete however many are gone")
		set.StringVar(&r.health, "health", "", "address such as 127.0.0.1:9543 at which /healthz answers while it repeats")
	}
}

func (r *syncRun) stateFlag(set *flag.FlagSet) {
	set.StringVar(&r.state, "state", "", "file that keeps how far a run came, so that the next can go on there")
}

func (r *syncRun) listenFlags(set *flag.FlagSet) {
	set.StringVar(&r.listen, "listen", "", "address such as 127.0.0.1:9544 at which events are received, and /healthz answers")
	set.StringVar(&r.path, "path", "/kinde/webhook", "path at which events are received")
}

// onStore runs a command with the store open.
func (r *syncRun) onStore(command func(*syncRun, []string) error) func([]string) error {
	return func(args []string) (err error) {
		if r.store, r.cfg, err = r.target.store(); err != nil {
			return err
		}
		return errors.Join(command(r, args), r.store.Close())
	}
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
		return fmt.Errorf("%w; give each its own --state, or let it end", err)
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
