package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"m2m-token-enricher/test/measure"
)

// figures are the repetitions of each benchmark's metrics, by name and unit as
// the benchmark prints them: "BenchmarkSign/ES256 ns/op".
type figures map[string][]float64

func (f figures) median(benchmark, unit string) float64 { return measure.Median(f[benchmark+" "+unit]) }

// procs is the suffix of a benchmark's name: GOMAXPROCS, unless it is one.
var procs = regexp.MustCompile(`-\d+$`)

// goBench runs the benchmarks of packages that match pattern once and adds
// their figures.
func (f figures) goBench(ctx context.Context, pattern string, span time.Duration, tags string, packages ...string) error {
	args := []string{"test", "-run=^$", "-bench=" + pattern, "-benchtime=" + span.String(), "-tags=" + tags}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product is built
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test -bench %s: %w\n%s", pattern, err, out)
	}
	ran := false
	for line := range strings.Lines(string(out)) {
		parsed, err := f.parse(line)
		if err != nil {
			return err
		}
		ran = ran || parsed
	}
	if !ran {
		return fmt.Errorf("go test -bench %s: no benchmark ran:\n%s", pattern, out)
	}
	return nil
}

// parse reads one line of go test (golang.org/design/14313) and reports whether
// it is a benchmark's.
func (f figures) parse(line string) (bool, error) {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return false, nil
	}
	name := procs.ReplaceAllString(words[0], "")
	for i := 2; i+1 < len(words); i += 2 {
		value, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return false, fmt.Errorf("%q: %w", line, err)
		}
		key := name + " " + words[i+1]
		f[key] = append(f[key], value)
	}
	return true, nil
}
