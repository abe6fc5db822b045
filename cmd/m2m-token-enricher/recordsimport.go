package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/records"
)

// importFile says which rows of which file are imported.
type importFile struct {
	format  string
	skipBad bool
	from    int
}

func (f *importFile) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "format", Destination: &f.format, Usage: "Read this `FORMAT`, jsonl or csv; unset: csv if the file's name ends in .csv (in any case), otherwise jsonl"},
		&cli.BoolFlag{Name: "skip-bad", Destination: &f.skipBad, HideDefault: true, Usage: "Skip bad rows and import the others"},
		&cli.IntFlag{Name: "from", Destination: &f.from, Value: 1, Usage: "Start at this `LINE`, to continue an import that ended early"},
	}
}

// rows returns the rows in the file called name.
func (r *recordsRun) rows(name string, file io.Reader) (records.Rows, error) {
	format := r.file.format
	switch {
	case format == "csv" || format == "" && strings.EqualFold(filepath.Ext(name), ".csv"):
		return namedRows{records.CSVRows(file, r.kind, r.target.names), name}, nil
	case format == "jsonl" || format == "":
		return namedRows{records.JSONRows(file, r.kind, r.target.names), name}, nil
	}
	return nil, usageError{fmt.Errorf("--format %s: write jsonl or csv", format)}
}

// namedRows are rows whose errors name the file, except those of single rows.
type namedRows struct {
	records.Rows
	name string
}

func (r namedRows) Next() (records.Entry, int, error) {
	e, line, err := r.Rows.Next()
	if _, isRow := errors.AsType[*records.RowError](err); err != nil && !isRow && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", r.name, err)
	}
	return e, line, err
}

// importGC lets an import, which holds little and throws away much, collect
// garbage a quarter as often: a quarter less CPU for some 50 MB more.
const importGC = 400

// importFile writes the records of a file; "-" is standard input.
func (r *recordsRun) importFile(args []string) error {
	in, err := openInput(args[0])
	if err != nil {
		return err
	}
	defer in.Close()
	debug.SetGCPercent(importGC)
	progress := newProgress(r.stderr, in)
	rows, err := r.rows(args[0], bufio.NewReaderSize(io.TeeReader(in, progress), 1<<20))
	if err != nil {
		return err
	}
	run := records.Import{
		Kind: r.kind, Mode: r.mode(), SkipBad: r.file.skipBad,
		Bad: func(bad *records.RowError) {
			_ = progress.Clear()
			visible.Fprintf(r.stderr, "%s: %v\n", args[0], bad)
		},
	}
	if r.dryRun {
		run.Changed = func(c records.Change) error { return r.print.change(r.kind, c) }
	}
	summary, err := run.Run(r.ctx, r.store, rows, r.file.from)
	_ = progress.Finish()
	r.printSummary(summary)
	if err != nil && summary.Next > 1 {
		err = fmt.Errorf("%w; continue with --from %d", err, summary.Next)
	}
	return err
}

func (r *recordsRun) printSummary(s records.Summary) {
	if r.print.json {
		_ = r.print.value(map[string]records.Summary{"summary": s}) // the records are written all the same
		return
	}
	would := map[bool]string{true: "would be "}[r.dryRun]
	visible.Fprintf(r.print.out, "%s%d new, %d changed, %d unchanged, %d bad\n", would, s.New, s.Changed, s.Unchanged, s.Bad)
}

// progress counts the bytes that are written to it. It shows how far they are in
// a file, if stderr is a terminal.
type progress struct{ *progressbar.ProgressBar }

func newProgress(stderr io.Writer, in *os.File) progress {
	size := int64(-1) // unknown
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	file, ok := stderr.(*os.File)
	return progress{progressbar.NewOptions64(size, progressbar.OptionSetVisibility(ok && term.IsTerminal(int(file.Fd()))),
		progressbar.OptionSetWriter(stderr), progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())}
}

func (p progress) Write(b []byte) (int, error) {
	_ = p.Add(len(b)) // a bar that can't be drawn stops nothing
	return len(b), nil
}
