package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine says where, when and of which state the figures were measured.
func machine(ctx context.Context) string {
	facts := []string{
		fmt.Sprintf("%d cores of %s", runtime.NumCPU(), cmp.Or(field("/proc/cpuinfo", "model name"), "an unknown processor")),
		memory(),
		fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}
	if version := output(ctx, "redis-server", "--version"); version != "" {
		facts = append(facts, "Redis "+strings.TrimPrefix(word(version, 2), "v="))
	}
	facts = append(facts, state(ctx))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		facts = append(facts, "load average before the run "+word(string(load), 0))
	}
	return "Measured on " + strings.Join(facts, ", ") + "."
}

// state is the commit that was measured, "dirty" with uncommitted changes, and
// the date.
func state(ctx context.Context) string {
	date := time.Now().Format("2 January 2006")
	if commit := output(ctx, "git", "describe", "--always", "--dirty", "--exclude=*"); commit != "" {
		return "commit " + commit + ", " + date
	}
	return date
}

func memory() string {
	var kib float64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err != nil {
		return "an unknown amount of memory"
	}
	return fmt.Sprintf("%.0f GiB of memory", kib/(1<<20))
}

// field is the value of the first line "name: value" in a file of /proc.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// output is the output of a command, "" if it fails.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func word(text string, i int) string {
	if words := strings.Fields(text); i < len(words) {
		return words[i]
	}
	return ""
}
