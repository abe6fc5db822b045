// Command soak keeps the plugin at full load for a time in which its operators
// do what they do over months: they reload Kong's configuration, rotate the
// keys and restart Redis. Every answer is checked; memory, files and goroutines
// are watched. It prints a table and a verdict on each goal, and its exit code
// is 1 if one is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"m2m-token-enricher/test/measure"
)

// options are the flags.
type options struct {
	binary, config string
	span           time.Duration
	connections    int
	applications   int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/m2m-token-enricher", "the plugin's executable")
	flag.StringVar(&o.config, "config", "kong.yml", "the declarative configuration")
	flag.DurationVar(&o.span, "time", 10*time.Minute, "how long the load lasts")
	flag.IntVar(&o.connections, "connections", 64, "clients that ask at once, each again as soon as it is answered")
	flag.IntVar(&o.applications, "applications", 1000, "applications, each with an organization of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// errMissed: the soak ran, and the plugin failed it.
var errMissed = errors.New("a goal is missed")

func run(ctx context.Context, o options) (err error) {
	if o.span < 10*time.Second || o.connections <= 0 || o.applications <= 0 {
		return errors.New("-time must be 10s or more, -connections and -applications above zero")
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if measure.KindOfRedis() != "redis-server" {
		return errors.New("redis-server is not installed; it can't be restarted")
	}
	s := &soak{options: o}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	samples, err := s.load(ctx)
	if err != nil {
		return errors.Join(err, s.tally.complaints())
	}
	audited, err := s.audited()
	if err != nil {
		return err
	}
	r := report{soak: s, samples: samples, audited: audited}
	fmt.Printf("%s\n\n%s\n\n", r.table(), r.course())
	missed := false
	for _, v := range r.verdicts() {
		fmt.Println(v)
		missed = missed || v.Missed()
	}
	if missed {
		return errors.Join(errMissed, s.tally.complaints())
	}
	return nil
}
