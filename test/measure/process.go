package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// CPUTime is the time that the threads of a process have run, to the
// nanosecond: the process' own /proc/PID/stat counts in hundredths of a second.
// Threads that have ended don't count, but Go keeps its threads.
func CPUTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // it ended meanwhile
		}
		var ran time.Duration
		if _, err := fmt.Sscan(string(text), &ran); err != nil {
			return 0, fmt.Errorf("%s: %w", thread, err)
		}
		sum += ran
	}
	if sum == 0 {
		return 0, fmt.Errorf("process %d: /proc says nothing of its CPU time, which needs Linux and CONFIG_SCHED_INFO", pid)
	}
	return sum, nil
}

// ResidentSize is the resident memory of a process, in MiB.
func ResidentSize(pid int) (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("%s: VmRSS: %w", path, err)
	}
	return kib / 1024, nil
}

// OpenFiles is how many file descriptors a process has open.
func OpenFiles(pid int) (int, error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(open), err
}

// Activity counts what a process did since its start.
type Activity struct {
	CPU                     time.Duration
	Reads, Writes, Switches float64 // system calls that read and write; context switches
}

// ActivityOf reads the counts of a process.
func ActivityOf(pid int) (a Activity, err error) {
	if a.CPU, err = CPUTime(pid); err != nil {
		return a, err
	}
	io := fmt.Sprintf("/proc/%d/io", pid)
	if err := addCounts([]string{io}, map[string]*float64{"syscr": &a.Reads, "syscw": &a.Writes}); err != nil {
		return a, err
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return a, err
	}
	return a, addCounts(threads, map[string]*float64{"voluntary_ctxt_switches": &a.Switches, "nonvoluntary_ctxt_switches": &a.Switches})
}

// addCounts adds the numbers in files of /proc whose lines are "name: number".
func addCounts(paths []string, to map[string]*float64) error {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			count := to[name]
			if count == nil {
				continue
			}
			var n float64
			if _, err := fmt.Sscan(value, &n); err != nil {
				return fmt.Errorf("%s: %s: %w", path, name, err)
			}
			*count += n
		}
	}
	return nil
}
