package main

import (
	"context"
	"fmt"
	"strings"

	"m2m-token-enricher/test/measure"
)

// coreRows are the benchmarks of the core's table, each for every algorithm.
var coreRows = [][2]string{
	{"token verified (RS256), enriched and signed", "BenchmarkEnrich/"},
	{"signature alone", "BenchmarkSign/"},
	{"verification alone", "BenchmarkVerify/"},
}

// libcryptoBenchmarks are those on which libcrypto has an effect.
const libcryptoBenchmarks = "^Benchmark(Enrich|Sign|Verify)$/^(ES256|RS256)$"

// core has the figures of the static build and of one with libcrypto.
type core struct {
	static, libcrypto figures
	without           string // why there are no figures of libcrypto
}

func measureCore(ctx context.Context, b *bench) (report, error) {
	c := core{static: figures{}, libcrypto: figures{}}
	if deps := output(ctx, "go", "list", "-tags=libcrypto", "-deps", "./cmd/..."); !strings.Contains(deps, "/plugin/jws/libcrypto") {
		c.without = "this state has no libcrypto"
	}
	packages := []string{"./plugin/enrich", "./plugin/jws"}
	for range b.rounds {
		if err := c.static.goBench(ctx, "^Benchmark(Enrich|Management|Sign|Verify)$", b.span, "", packages...); err != nil {
			return report{}, err
		}
		if c.without != "" {
			continue
		}
		if err := c.libcrypto.goBench(ctx, libcryptoBenchmarks, b.span, "libcrypto", packages...); err != nil {
			return report{}, err
		}
	}
	c.checkLoaded()
	return report{sections: map[string]string{"core": c.table()}, verdicts: c.verdicts()}, nil
}

// checkLoaded drops libcrypto's figures unless the library was loaded. A build
// with the tag uses Go's own code without it, so the time of a signature must
// show it: libcrypto takes little more than half of Go's.
func (c *core) checkLoaded() {
	const sign = "BenchmarkSign/RS256"
	if c.without == "" && c.libcrypto.median(sign, "ns/op") > 0.8*c.static.median(sign, "ns/op") {
		c.libcrypto = figures{}
		c.without = "a build with libcrypto signs RS256 as slowly as one without: the library isn't there or isn't used"
	}
}

func (c core) table() string {
	rows := [][]string{{"what", "-ES256", "-ES256, libcrypto", "-RS256", "-RS256, libcrypto", "-EdDSA"}}
	for _, row := range coreRows {
		rows = append(rows, []string{
			row[0], c.static.microseconds(row[1] + "ES256"), c.libcrypto.microseconds(row[1] + "ES256"),
			c.static.microseconds(row[1] + "RS256"), c.libcrypto.microseconds(row[1] + "RS256"), c.static.microseconds(row[1] + "EdDSA"),
		})
	}
	rows = append(rows, []string{"management token (RS256), verified only", "–", "–", c.static.microseconds("BenchmarkManagement"), "–", "–"})
	return measure.Table(rows)
}

// microseconds is the time of a benchmark, or a dash if it didn't run.
func (f figures) microseconds(benchmark string) string {
	if len(f[benchmark+" ns/op"]) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f µs", f.median(benchmark, "ns/op")/1000)
}

func (c core) verdicts() []measure.Verdict {
	const rsa = "core, RS256 with libcrypto, of verify + sign alone"
	const es = "core, ES256, "
	verdicts := []measure.Verdict{
		measure.AtMost(es+"of verify + sign alone", ofItsParts(c.static, "ES256"), 1.3, " ×"),
		measure.AtMost(es+"allocations", c.static.median("BenchmarkEnrich/ES256", "allocs/op"), 60, ""),
	}
	if c.without != "" {
		why := fmt.Sprintf("%s; without it %.2f ×", c.without, ofItsParts(c.static, "RS256"))
		return append(verdicts, measure.Unmeasured(rsa, why))
	}
	return append(verdicts,
		measure.AtMost(es+"of verify + sign alone, libcrypto", ofItsParts(c.libcrypto, "ES256"), 1.3, " ×"),
		measure.AtMost(es+"allocations, libcrypto", c.libcrypto.median("BenchmarkEnrich/ES256", "allocs/op"), 60, ""),
		measure.AtMost(rsa, ofItsParts(c.libcrypto, "RS256"), 1.1, " ×"),
		measure.Unmeasured("core, RS256 without libcrypto, of verify + sign alone", fmt.Sprintf("no goal; it is %.2f ×", ofItsParts(c.static, "RS256"))))
}

// ofItsParts is the time of an enriched token as a multiple of the parts that
// nothing can spare: verifying the provider's RS256 token and signing with
// algorithm.
func ofItsParts(f figures, algorithm string) float64 {
	parts := f.median("BenchmarkVerify/RS256", "ns/op") + f.median("BenchmarkSign/"+algorithm, "ns/op")
	return f.median("BenchmarkEnrich/"+algorithm, "ns/op") / parts
}
