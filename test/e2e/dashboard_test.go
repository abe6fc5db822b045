package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// panelQuery is one of the dashboard's.
type panelQuery struct{ title, expression, legend string }

// dashboard returns the queries of deploy/grafana.json with Grafana's variables
// filled in.
func dashboard(t *testing.T) []panelQuery {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")
	var queries []panelQuery
	for _, panel := range board.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("%s asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, panelQuery{panel.Title, filled.Replace(target.Expr), target.LegendFormat})
		}
	}
	return queries
}

// TestPrometheus: a real Prometheus scrapes the plugin, has an answer to each
// query of the dashboard, and evaluates each alert.
func TestPrometheus(t *testing.T) {
	t.Parallel() // it mostly waits
	program(t, "prometheus")
	w := build(t, func(c map[string]any) {
		c["cache"] = map[string]any{"ttl": 1, "stale_ttl": 3600}
		c["reuse"] = map[string]any{"enabled": true, "max_age": 1}
	})
	w.provider.Misbehave(idptest.Fault{JWKS: spoiled(t, w)})
	const suspended, nobody = "suspended", "nobody"
	w.provider.Add(suspended, secret)
	w.provider.Add(nobody, secret)
	w.record("app:"+suspended, "org_code", "org_suspended")
	w.record("org:org_suspended", "code", "org_suspended", "name", "Late Inc", "is_suspended", "true")
	address := loopback(t)
	w.flags = []string{"-metrics", address}
	w.start()
	p := w.prometheus(address)
	ask := func() {
		for _, id := range []string{client, client, suspended, nobody} {
			w.ask(form("client_id", id))
		}
	}
	w.eventually(func() error {
		ask()
		return p.says("rate(m2m_cache_hits_total[5m]) > 0 and rate(m2m_cache_misses_total[5m]) > 0")
	})
	_, text := w.scrape(address, "/metrics")
	sameSeries(t, text)
	w.redis.Stop()
	w.eventually(func() error {
		ask()
		var errs []error
		for _, outcome := range []string{"enriched", "reused", "suspended_organization", "unknown_application", "lookup_unavailable"} {
			errs = append(errs, p.says(fmt.Sprintf("m2m_outcomes_total{outcome=%q} > 0", outcome)))
		}
		for _, q := range dashboard(t) {
			errs = append(errs, p.answers(q, address))
		}
		return errors.Join(errs...)
	})
	w.eventually(func() error {
		ask()
		return p.alarms(address, "M2MDependencyFails", "M2MStaleRecords", "M2MTokensRefused")
	})
}

// says returns an error unless the query has a result.
func (s server) says(expression string) error {
	results, err := s.query(expression)
	if err == nil && len(results) == 0 {
		err = errors.New("no result")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", expression, err)
	}
	return nil
}

// answers returns an error unless each line of q's panel is about the plugin, has
// a legend and a number, and one of the numbers isn't zero.
func (s server) answers(q panelQuery, address string) error {
	results, err := s.query(q.expression)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", q.title, q.expression, err)
	}
	some := false
	for _, line := range results {
		value, err := strconv.ParseFloat(fmt.Sprint(line.Value[1]), 64)
		if err != nil || math.IsNaN(value) {
			return fmt.Errorf("%s: %v", q.title, line)
		}
		some = some || value > 0
		if at, ok := line.Metric["instance"]; ok && at != address {
			return fmt.Errorf("%s counts %v", q.title, line)
		}
		for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.legend, -1) {
			if line.Metric[label[1]] == "" {
				return fmt.Errorf("%s: no %s in %v", q.title, label[1], line)
			}
		}
	}
	if !some {
		return fmt.Errorf("%s: %s: got %v", q.title, q.expression, results)
	}
	return nil
}

// alarms returns an error unless every rule was evaluated, and exactly those of
// names report the gateway at address.
func (s server) alarms(address string, names ...string) error {
	rules, err := s.rules()
	if err != nil {
		return err
	}
	var raised []string
	for _, r := range rules {
		if r.Health != "ok" || r.LastError != "" {
			return fmt.Errorf("%s: %s: %s", r.Name, r.Health, r.LastError)
		}
		if r.State == "inactive" {
			continue
		}
		raised = append(raised, r.Name)
		for _, alert := range r.Alerts {
			if summary := alert.Annotations["summary"]; !strings.Contains(summary, address) || alert.Annotations["what_to_do"] == "" {
				return fmt.Errorf("%s: %v", r.Name, alert)
			}
		}
	}
	if slices.Sort(raised); !slices.Equal(raised, names) || len(rules) <= len(names) {
		return fmt.Errorf("alerts %v of %d rules, want %v", raised, len(rules), names)
	}
	return nil
}
