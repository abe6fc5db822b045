package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"m2m-token-enricher/plugin/visible"
)

// progress counts the bytes that are written to it and shows how far they are,
// if a person watches.
type progress struct {
	stderr io.Writer
	bar    *progressbar.ProgressBar // nil if stderr is no terminal
}

// newProgress returns the progress to size bytes; -1 if that isn't known.
func newProgress(stderr io.Writer, size int64) *progress {
	p := &progress{stderr: stderr}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return p
}

func (p *progress) Write(b []byte) (int, error) {
	if p.bar != nil {
		_ = p.bar.Add(len(b)) // a bar that can't be drawn stops nothing
	}
	return len(b), nil
}

// say prints a line above the bar.
func (p *progress) say(format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	visible.Fprintf(p.stderr, format, args...)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
