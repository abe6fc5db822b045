package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// errNoCommit: the repository lacks the commit, as a shallow clone may.
var errNoCommit = errors.New("no such commit here")

// buildBaseline builds the plugin of the commit called tag as make build does,
// with build tags, and returns the executable's path.
func (b *bench) buildBaseline(ctx context.Context, tag, tags string) (string, error) {
	if output(ctx, "git", "rev-parse", "--verify", "--quiet", tag+"^{commit}") == "" {
		return "", fmt.Errorf("commit %q: %w", tag, errNoCommit)
	}
	dir, err := os.MkdirTemp(b.dir, "baseline-")
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	// The plugin's name is that of its executable.
	binary := filepath.Join(dir, filepath.Base(b.binary))
	archive := filepath.Join(dir, "source.tar")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags="+tags, "-ldflags=-s -w", "-o", binary, "./cmd/m2m-token-enricher")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	for _, step := range []*exec.Cmd{
		exec.CommandContext(ctx, "git", "archive", "--output", archive, tag),
		exec.CommandContext(ctx, "tar", "-xf", archive, "-C", source),
		build,
	} {
		if out, err := step.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %s: %w: %s", tag, step.Args[0], err, out)
		}
	}
	return binary, nil
}

// tagsOf are the build tags of an executable.
func tagsOf(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", err
	}
	for _, setting := range info.Settings {
		if setting.Key == "-tags" {
			return setting.Value, nil
		}
	}
	return "", nil
}
