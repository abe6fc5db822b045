// Package benchworkflow measures what a workflow and an expression cost a token,
// beside the mapping that does the same.
package benchworkflow

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"m2m-token-enricher/plugin/gateway"
)

// TestSame: what is compared gives the same claims.
func TestSame(t *testing.T) {
	s := newStage(t)
	path := workflow(t)
	for name, pair := range map[string][2]map[string]any{
		"workflow":   {mapping(), {"workflow": map[string]any{"path": path}}},
		"expression": {claims(1, "from", "organization.name"), claims(1, "expr", "organization.name")},
	} {
		mapped, computed := s.claims(s.open(t, pair[0])), s.claims(s.open(t, pair[1]))
		for name := range mapped {
			if name != "iat" && name != "exp" && fmt.Sprint(mapped[name]) != fmt.Sprint(computed[name]) {
				t.Errorf("%s: got %s %v, want %v", name, name, computed[name], mapped[name])
			}
		}
		if len(computed) != len(mapped) {
			t.Errorf("%s: got the claims %v, want %v", name, computed, mapped)
		}
	}
}

// BenchmarkWorkflow is one token through a whole configuration, with cached records
// and an ES256 key: with a file of the starter kit's shape, and with the mapping that does the
// same, in turns.
func BenchmarkWorkflow(b *testing.B) {
	s := newStage(b)
	compare(b, s, s.open(b, mapping()), s.open(b, map[string]any{"workflow": map[string]any{"path": workflow(b)}}), 1)
}

// expressions is how many claims BenchmarkExpression computes for each token.
const expressions = 50

// BenchmarkExpression is a claim by an expression, beside a mapped one.
func BenchmarkExpression(b *testing.B) {
	s := newStage(b)
	mapped := s.open(b, claims(expressions, "from", "organization.name"))
	compare(b, s, mapped, s.open(b, claims(expressions, "expr", `organization.plan == "gold" ? organization.name : "standard"`)), expressions)
}

// compare reports the times of two gateways, and how much longer the second takes
// for each of n claims.
func compare(b *testing.B, s *stage, mapped, computed *gateway.Gateway, n int) {
	times := map[*gateway.Gateway][]time.Duration{}
	for _, g := range []*gateway.Gateway{mapped, computed} {
		for range 100 { // the records and the keys are cached, and the code is warm
			s.enrich(b, g)
		}
	}
	for b.Loop() {
		for _, g := range []*gateway.Gateway{mapped, computed} {
			begin := time.Now()
			s.enrich(b, g)
			times[g] = append(times[g], time.Since(begin))
		}
	}
	at := func(g *gateway.Gateway, share float64) float64 {
		slices.Sort(times[g])
		return float64(times[g][int(float64(len(times[g])-1)*share)].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(mapped, 0.5), "mapped-µs-p50")
	b.ReportMetric(at(mapped, 0.99), "mapped-µs-p99")
	b.ReportMetric(at(computed, 0.5), "computed-µs-p50")
	b.ReportMetric(at(computed, 0.99), "computed-µs-p99")
	b.ReportMetric((at(computed, 0.5)-at(mapped, 0.5))/float64(n), "over-µs")
}

// idle is how many configurations BenchmarkIdle opens.
const idle = 1000

// BenchmarkIdle is the memory of configurations that have each served one token.
func BenchmarkIdle(b *testing.B) {
	s := newStage(b)
	path := workflow(b)
	for name, config := range map[string]map[string]any{"mapping": mapping(), "workflow": {"workflow": map[string]any{"path": path}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				var open []*gateway.Gateway
				for range idle {
					g := s.open(b, config)
					s.enrich(b, g)
					open = append(open, g)
				}
				b.ReportMetric((heap()-before)/idle/1024, "KiB/configuration")
				for _, g := range open {
					_ = g.Close()
				}
			}
		})
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// workflow writes a file of the starter kit's shape.
func workflow(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "organizationWorkflow.ts")
	if err := os.WriteFile(path, []byte(`
import { createKindeAPI, m2mTokenClaims, WorkflowSettings, WorkflowTrigger } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "organization",
  name: "Organization",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  bindings: { "kinde.m2mToken": {}, "kinde.fetch": {}, "kinde.env": {}, url: {} },
};

export default async function (event: any) {
  const id = event.context.application.clientId;
  const api = await createKindeAPI(event);
  const { data: application } = await api.get({ endpoint: `+"`applications/${id}/properties`"+` });
  const code = application.appProperties.find((p: any) => p.key === "org_code").value;
  const { data: organization } = await api.get({ endpoint: `+"`organization?code=${code}`"+` });
  const claims = m2mTokenClaims<any>();
  claims.applicationId = id;
  claims.orgName = organization.name;
  claims.orgCode = organization.code;
}
`), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// mapping maps the same claims.
func mapping() map[string]any {
	return map[string]any{"claims": []any{
		map[string]any{"name": "applicationId", "from": "token.azp"},
		map[string]any{"name": "orgName", "from": "organization.name"},
		map[string]any{"name": "orgCode", "from": "organization.code"},
	}}
}

// claims are n claims that come from what, by how.
func claims(n int, how, what string) map[string]any {
	var list []any
	for i := range n {
		list = append(list, map[string]any{"name": fmt.Sprintf("claim_%02d", i), how: what})
	}
	return map[string]any{"claims": list}
}
