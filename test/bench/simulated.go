package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"m2m-token-enricher/test/measure"
)

// simulation has what tests with a simulated clock found.
type simulation struct {
	hour    []string // a fleet without faults; what was found, and the calls × max_age / time
	outages [][]string
}

// What the tests log.
var (
	fleetHour   = regexp.MustCompile(`\d+ clients that ask .* ([\d.]+) × clients × time / max_age`)
	fleetOutage = regexp.MustCompile(`an outage of an hour \((.+)\): (\d+) requests, (\d+) calls to the provider, (\d+) failed`)
)

// unseen is the outage that nothing shows to the plugin: Kong answers these requests
// itself, and no plugin runs.
const unseen = "silence of the token endpoint only"

// simulate runs the tests of plugin/reuse that simulate an hour of a fleet.
func simulate(ctx context.Context) (s simulation, err error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run=^TestFleet(Hour|Outage)$", "./plugin/reuse",
		"-hour.clients=100", "-hour.gateways=10").CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("simulate an hour: %w\n%s", err, out)
	}
	return readSimulation(string(out))
}

func readSimulation(log string) (s simulation, err error) {
	s.hour, s.outages = fleetHour.FindStringSubmatch(log), fleetOutage.FindAllStringSubmatch(log, -1)
	if s.hour == nil || len(s.outages) == 0 {
		return s, fmt.Errorf("simulate an hour: no result:\n%s", log)
	}
	return s, nil
}

// text has the results in sentences.
func (s simulation) text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "In simulated time: %s.\n", s.hour[0])
	rows := [][]string{{"an outage of an hour, with `if_provider_fails`", "-requests", "-calls to the provider", "-failed"}}
	for _, found := range s.outages {
		rows = append(rows, found[1:])
	}
	return text.String() + "\n" + measure.Table(rows)
}

func (s simulation) verdicts() []measure.Verdict {
	calls, _ := strconv.ParseFloat(s.hour[1], 64) // digits
	verdicts := []measure.Verdict{measure.AtMost("reuse, an hour of a fleet, calls to the provider × max_age / (clients × time)", calls, 1.05, " ×")}
	for _, found := range s.outages {
		if found[1] == unseen {
			continue
		}
		failed, _ := strconv.ParseFloat(found[4], 64)
		verdicts = append(verdicts, measure.AtMost(fmt.Sprintf("reuse, an outage of an hour (%s), failed requests", found[1]), failed, 0, ""))
	}
	return verdicts
}
