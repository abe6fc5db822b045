// Command bench measures the plugin: its core, its loop, the way of a token
// through the gateway, growth, and memory over time. What is compared is
// measured in one run and in turns: that keeps the ratios true on a noisy
// machine. It prints which goals are met, and writes the tables of
// docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"m2m-token-enricher/test/measure"
)

// options are the flags.
type options struct {
	binary, config string
	span           time.Duration
	rounds         int
	baseline       string
	soak           time.Duration
	only           string
	out            string
}

// report is the result of one part.
type report struct {
	sections map[string]string // by their name; the page has a marker for most
	verdicts []measure.Verdict
}

// parts are what the bench measures, in this order: the end-to-end parts keep
// processes running that would disturb the others.
var parts = []struct {
	name    string
	measure func(context.Context, *bench) (report, error)
}{
	{"core", measureCore}, {"workflow", measureWorkflow}, {"loop", measureLoop}, {"questions", measureQuestions}, {"reuse", measureReuse}, {"end-to-end", measureEndToEnd}, {"watched", measureWatched}, {"growth", measureGrowth},
	{"soak", measureSoak},
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/m2m-token-enricher", "the plugin's executable")
	flag.StringVar(&o.config, "config", "kong.yml", "the declarative configuration")
	flag.DurationVar(&o.span, "time", time.Second, "how long each figure is measured in each round")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each figure is measured; the median counts")
	flag.StringVar(&o.baseline, "baseline", "", "git tag of an earlier state to measure beside this one; empty: none")
	flag.DurationVar(&o.soak, "soak", 0, "how long 256 connections stay busy while memory is watched, such as 5m; 0: not at all")
	flag.StringVar(&o.only, "only", "", "the parts to measure, separated by commas, of core, workflow, loop, questions, reuse, end-to-end, watched, growth and soak; empty: all")
	flag.StringVar(&o.out, "out", "", "the page whose tables to write, between its markers; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	all, whole, err := b.measure(ctx)
	all.print()
	if !whole { // the machine's line is about all tables
		delete(all.sections, "machine")
		fmt.Fprintln(os.Stderr, "bench: not every part was measured, so the page keeps its line about the machine")
	}
	if o.out != "" {
		err = errors.Join(err, rewritePage(o.out, all.sections))
	}
	return err
}

// measure measures every part that is wanted. A part that fails doesn't stop
// the others; whole reports whether all were measured.
func (b *bench) measure(ctx context.Context) (all report, whole bool, err error) {
	all.sections = map[string]string{"machine": machine(ctx)}
	whole = true
	for _, part := range parts {
		if !b.wants(part.name) || ctx.Err() != nil {
			whole = false
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", part.name)
		r, failure := part.measure(ctx, b)
		if failure != nil {
			whole, err = false, errors.Join(err, fmt.Errorf("%s: %w", part.name, failure))
			continue
		}
		all.add(r)
	}
	return all, whole, errors.Join(err, ctx.Err())
}

func (o options) check() error {
	if o.span <= 0 || o.rounds <= 0 || o.soak < 0 {
		return errors.New("-time and -rounds must be above zero, and -soak not below")
	}
	for name := range strings.SplitSeq(o.only, ",") {
		known := name == "" && o.only == ""
		for _, part := range parts {
			known = known || part.name == name
		}
		if !known {
			return fmt.Errorf("-only: no part is called %q", name)
		}
	}
	return nil
}

func (o options) wants(part string) bool {
	return o.only == "" || strings.Contains(","+o.only+",", ","+part+",")
}

func (r *report) add(other report) {
	maps.Copy(r.sections, other.sections)
	r.verdicts = append(r.verdicts, other.verdicts...)
}

func (r report) print() {
	for _, name := range []string{"machine", "core", "workflow", "loop", "questions", "reuse", "end-to-end", "watched", "growth", "soak"} { // the page's order
		if text, ok := r.sections[name]; ok {
			fmt.Printf("%s\n\n", text)
		}
	}
	for _, v := range r.verdicts {
		fmt.Println(v)
	}
}

// bench is shared by the parts.
type bench struct {
	options
	dir     string // temporary
	kongYML []byte
}

func newBench(o options) (*bench, error) {
	var err error
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return nil, err
	}
	b := &bench{options: o}
	if b.kongYML, err = os.ReadFile(o.config); err != nil {
		return nil, err
	}
	b.dir, err = os.MkdirTemp("", "m2m-bench-")
	return b, err
}
