package main

import (
	"context"
	"fmt"
	"strings"

	"m2m-token-enricher/test/measure"
)

// coreBenchmarks are the rows of the core's table.
var coreBenchmarks = [][2]string{
	{"token enriched, ES256", "BenchmarkEnrich/ES256"},
	{"token enriched, RS256", "BenchmarkEnrich/RS256"},
	{"token enriched, EdDSA", "BenchmarkEnrich/EdDSA"},
	{"management audience, untouched", "BenchmarkManagement"},
	{"signature alone, ES256", "BenchmarkSign/ES256"},
	{"signature alone, RS256", "BenchmarkSign/RS256"},
	{"signature alone, EdDSA", "BenchmarkSign/EdDSA"},
	{"signature alone, ES256, a ring of 2 keys", "BenchmarkSignWithRing/keys=2"},
	{"signature alone, ES256, a ring of 20 keys", "BenchmarkSignWithRing/keys=20"},
	{"token verified whole, ES256", "BenchmarkVerify/ES256"},
	{"token verified whole, RS256", "BenchmarkVerify/RS256"},
	{"token verified whole, EdDSA", "BenchmarkVerify/EdDSA"},
}

// libcryptoBenchmarks are those that a build with libcrypto changes.
const libcryptoBenchmarks = "^Benchmark(Enrich|Sign|Verify)$/^(ES256|RS256)$"

// core is the core's figures, of the static build and of one with libcrypto.
type core struct {
	static, libcrypto figures
	without           string // why libcrypto is empty
}

func measureCore(ctx context.Context, b *bench) (report, error) {
	c := core{static: figures{}, libcrypto: figures{}}
	if deps := said(ctx, "go", "list", "-tags=libcrypto", "-deps", "./cmd/..."); !strings.Contains(deps, "/plugin/jws/libcrypto") {
		c.without = "this state has no libcrypto"
	}
	packages := []string{"./plugin/enrich", "./plugin/jws"}
	for range b.rounds {
		if err := c.static.goBench(ctx, "^Benchmark(Enrich|Management|Sign|SignWithRing|Verify)$", b.span, "", packages...); err != nil {
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

// checkLoaded tells by the time of a signature whether the library was there:
// a build with the tag goes on with Go's own code if it isn't. libcrypto takes
// little more than half of Go's time.
func (c *core) checkLoaded() {
	const sign = "BenchmarkSign/RS256"
	if c.without == "" && c.libcrypto.median(sign, "ns/op") > 0.8*c.static.median(sign, "ns/op") {
		c.without = "a build with libcrypto signs RS256 as slowly as one without: the library isn't there or isn't used"
	}
}

func (c core) table() string {
	rows := [][]string{{"what", "-time", "-allocations"}}
	for _, row := range coreBenchmarks {
		rows = append(rows, coreRow(c.static, row[0], row[1]))
	}
	if c.without != "" {
		return measure.Table(rows)
	}
	for _, row := range coreBenchmarks {
		if c.libcrypto.has(row[1]) {
			rows = append(rows, coreRow(c.libcrypto, row[0]+", libcrypto", row[1]))
		}
	}
	return measure.Table(rows)
}

func coreRow(f figures, what, benchmark string) []string {
	return []string{what, fmt.Sprintf("%.1f µs", f.median(benchmark, "ns/op")/1000), fmt.Sprintf("%.0f", f.median(benchmark, "allocs/op"))}
}

func (c core) verdicts() []measure.Verdict {
	const rsa = "core, RS256 with libcrypto, of verify + sign alone"
	const es = "core, ES256, "
	verdicts := []measure.Verdict{
		measure.AtMost(es+"of verify + sign alone", ofItsParts(c.static, "ES256"), 1.3, " ×"),
		measure.AtMost(es+"allocations", c.static.median("BenchmarkEnrich/ES256", "allocs/op"), 60, ""),
	}
	if c.without == "" {
		verdicts = append(verdicts,
			measure.AtMost(es+"of verify + sign alone, libcrypto", ofItsParts(c.libcrypto, "ES256"), 1.3, " ×"),
			measure.AtMost(es+"allocations, libcrypto", c.libcrypto.median("BenchmarkEnrich/ES256", "allocs/op"), 60, ""))
	}
	if c.without != "" {
		why := fmt.Sprintf("%s; without it %.2f ×", c.without, ofItsParts(c.static, "RS256"))
		return append(verdicts, measure.Unmeasured(rsa, why))
	}
	return append(verdicts,
		measure.AtMost(rsa, ofItsParts(c.libcrypto, "RS256"), 1.1, " ×"),
		measure.Unmeasured("core, RS256 without libcrypto, of verify + sign alone", fmt.Sprintf("no goal; it is %.2f ×", ofItsParts(c.static, "RS256"))))
}

// ofItsParts is the time of a token that is enriched, of what can't be left
// out: verifying the provider's RS256 token and signing with algorithm.
func ofItsParts(f figures, algorithm string) float64 {
	parts := f.median("BenchmarkVerify/RS256", "ns/op") + f.median("BenchmarkSign/"+algorithm, "ns/op")
	return f.median("BenchmarkEnrich/"+algorithm, "ns/op") / parts
}
