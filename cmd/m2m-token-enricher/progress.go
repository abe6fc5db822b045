package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

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
