package main

import (
	"context"
	"fmt"
	"time"

	"m2m-token-enricher/test/measure"
)

// measureWorkflow compares what code computes with the mapping that does the same.
func measureWorkflow(ctx context.Context, b *bench) (report, error) {
	const pkg = "./test/benchworkflow"
	f := figures{}
	for range b.rounds {
		if err := f.goBench(ctx, "^Benchmark(Workflow|Expression)$", b.span, "", pkg); err != nil {
			return report{}, err
		}
	}
	if err := f.goBench(ctx, "^BenchmarkIdle$", time.Millisecond, "", pkg); err != nil {
		return report{}, err
	}
	return report{sections: map[string]string{"workflow": workflowTable(f)}, verdicts: workflowVerdicts(f)}, nil
}

func workflowTable(f figures) string {
	rows := [][]string{{"what", "-p50", "-p99", "-KiB of an idle configuration"}}
	row := func(what, benchmark, side, idle string) {
		memory := "–"
		if idle != "" {
			memory = fmt.Sprintf("%.0f", f.median("BenchmarkIdle/"+idle, "KiB/configuration"))
		}
		rows = append(rows, []string{
			what, fmt.Sprintf("%.0f µs", f.median(benchmark, side+"-µs-p50")), fmt.Sprintf("%.0f µs", f.median(benchmark, side+"-µs-p99")), memory,
		})
	}
	row("3 mapped claims", "BenchmarkWorkflow", "mapped", "mapping")
	row("the same by a workflow", "BenchmarkWorkflow", "computed", "workflow")
	row("50 mapped claims", "BenchmarkExpression", "mapped", "")
	row("50 claims by an expression", "BenchmarkExpression", "computed", "")
	return measure.Table(rows)
}

func workflowVerdicts(f figures) []measure.Verdict {
	const idle = "KiB/configuration"
	return []measure.Verdict{
		measure.AtMost("workflow of the starter kit's shape, over the mapping", f.median("BenchmarkWorkflow", "over-µs"), 150, " µs"),
		measure.AtMost("workflow of the starter kit's shape, p99", f.median("BenchmarkWorkflow", "computed-µs-p99")/1000, 0.5, " ms"),
		measure.AtMost("expression, over a mapped claim", f.median("BenchmarkExpression", "over-µs"), 5, " µs"),
		measure.Unmeasured("memory of 1,000 idle configurations", fmt.Sprintf("no goal; it is %.0f MiB with a workflow, %.0f MiB with a mapping",
			f.median("BenchmarkIdle/workflow", idle)*1000/1024, f.median("BenchmarkIdle/mapping", idle)*1000/1024)),
	}
}
