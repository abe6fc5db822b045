package benchrecords

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"m2m-token-enricher/test/redistest"
)

// BenchmarkImport imports a million applications of five properties into an
// empty Redis, beside redis-cli --pipe with the same data, in turns.
func BenchmarkImport(b *testing.B) {
	const n, rounds = 1_000_000, 3
	dir := b.TempDir()
	binary := filepath.Join(dir, "m2m-token-enricher")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/m2m-token-enricher")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	lines, commands := write(b, dir, "apps.jsonl", n, jsonLine), write(b, dir, "apps.resp", n, command)
	server := redistest.Start(b)
	port := strconv.Itoa(server.Port())
	timed := func(input string, name string, args ...string) float64 {
		if err := server.Client().FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		file, err := os.Open(input)
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		run := exec.Command(name, args...)
		run.Stdin = file
		begin := time.Now()
		if out, err := run.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		took := time.Since(begin).Seconds()
		if got := server.Client().DBSize(b.Context()).Val(); got != n {
			b.Fatalf("%s wrote %d keys", name, got)
		}
		return took
	}
	for b.Loop() {
		var ours, cli []float64
		for range rounds {
			cli = append(cli, timed(commands, "redis-cli", "-p", port, "--pipe"))
			ours = append(ours, timed(lines, binary, "app", "import", "--port", port, "--prefix", prefix, "-"))
		}
		b.ReportMetric(median(ours), "s/import")
		b.ReportMetric(n/median(ours), "records/s")
		b.ReportMetric(median(cli), "s/redis-cli")
		b.ReportMetric(median(cli)/median(ours), "of-redis-cli's-rate")
	}
}
