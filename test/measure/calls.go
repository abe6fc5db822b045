package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// SystemCalls counts the system calls of a process while f runs, with perf. Counted
// calls take longer, so f shouldn't measure time.
func SystemCalls(ctx context.Context, pid int, f func() error) (calls float64, err error) {
	toPerf, fromPerf, err := pipes()
	if err != nil {
		return 0, err
	}
	defer toPerf.Close()
	defer fromPerf.Close()
	// It starts disabled, and confirms each command.
	cmd := exec.CommandContext(ctx, "perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-D", "-1", "--control", "fd:3,4", "-p", strconv.Itoa(pid))
	cmd.ExtraFiles = []*os.File{toPerf.theirs, fromPerf.theirs}
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("count system calls: %w", err)
	}
	toPerf.closeTheirs()
	fromPerf.closeTheirs()
	err = fromPerf.confirm(toPerf, "enable")
	if err == nil {
		err = errors.Join(f(), fromPerf.confirm(toPerf, "disable"))
	}
	_ = cmd.Process.Signal(os.Interrupt) // ends it with a report
	_ = cmd.Wait()                       // by that signal
	if err != nil {
		return 0, fmt.Errorf("count system calls: %w: %s", err, out.Bytes())
	}
	return parsePerf(out.String())
}

// parsePerf reads the line "1234,,raw_syscalls:sys_enter,…".
func parsePerf(report string) (float64, error) {
	for line := range strings.Lines(report) {
		if number, rest, _ := strings.Cut(line, ","); strings.Contains(rest, "raw_syscalls:sys_enter") {
			return strconv.ParseFloat(number, 64)
		}
	}
	return 0, fmt.Errorf("perf reports no system calls: %q", report)
}

// pipe is a pipe to or from another process.
type pipe struct{ ours, theirs *os.File }

func pipes() (to, from pipe, err error) {
	if to.theirs, to.ours, err = os.Pipe(); err != nil {
		return to, from, err
	}
	if from.ours, from.theirs, err = os.Pipe(); err != nil {
		to.Close()
	}
	return to, from, err
}

// closeTheirs leaves their end to the other process, so that its end is seen.
func (p pipe) closeTheirs() { _ = p.theirs.Close() }

// Close closes both ends.
func (p pipe) Close() {
	_ = p.ours.Close()
	_ = p.theirs.Close()
}

// confirm sends a command and waits until it is done.
func (p pipe) confirm(to pipe, command string) error {
	if _, err := fmt.Fprintln(to.ours, command); err != nil {
		return err
	}
	_, err := p.ours.Read(make([]byte, len("ack\n\x00")))
	return err
}
