package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
)

// measureQuestions counts what one ES256 token costs beside its cryptography: what
// Kong is asked, and what the plugin's process asks of the kernel and of the heap.
func measureQuestions(ctx context.Context, b *bench) (r report, err error) {
	s := &stand{bench: b}
	defer func() { err = errors.Join(err, s.closers.Close()) }()
	states, missing, err := s.questionStates(ctx)
	if err != nil {
		return report{}, err
	}
	for round := range b.rounds {
		for i := range states {
			if err := states[(i+round)%len(states)].measure(ctx, b); err != nil {
				return report{}, err
			}
		}
	}
	return report{
		sections: map[string]string{"questions": questionsTable(states) + "\n\nMeasured at " + state(ctx) + ". Before: commit " + allHeaders + "."},
		verdicts: questionsVerdicts(states, missing),
	}, nil
}

// allHeaders is the last commit whose access phase asked for all headers.
const allHeaders = "b9e18fe"

// questionStates are that of allHeaders, unless it is missing, and the present one.
func (s *stand) questionStates(ctx context.Context) (states []*spent, missing string, err error) {
	tags, err := tagsOf(s.bench.binary)
	if err != nil {
		return nil, "", err
	}
	binary, err := s.bench.buildBaseline(ctx, allHeaders, tags)
	switch {
	case errors.Is(err, errNoCommit):
		missing = err.Error()
	case err != nil:
		return nil, "", err
	default:
		states = append(states, &spent{name: "before", binary: binary})
	}
	states = append(states, &spent{name: "now", binary: s.bench.binary})
	id := measure.ApplicationID(0)
	p, err := s.provider("RS256", []string{id})
	if err != nil {
		return nil, "", err
	}
	records, err := s.records(ctx, 1, 0)
	if err != nil {
		return nil, "", err
	}
	for _, state := range states {
		if err := state.start(ctx, s, p, records); err != nil {
			return nil, "", fmt.Errorf("%s: %w", state.name, err)
		}
	}
	return states, missing, nil
}

// questionsTable has a column for each state.
func questionsTable(states []*spent) string {
	head := []string{"for each ES256 token"}
	for _, t := range states {
		head = append(head, "-"+t.name)
	}
	rows := [][]string{head}
	add := func(what string, value func(*spent) string) {
		row := []string{what}
		for _, t := range states {
			row = append(row, value(t))
		}
		rows = append(rows, row)
	}
	counted := func(n func(kongtest.Traffic) int) func(*spent) string {
		return func(t *spent) string { return fmt.Sprintf("%.4g", float64(n(t.traffic))/t.tokens) }
	}
	for _, name := range questionNames(states) {
		phase, method, _ := strings.Cut(name, " ")
		add(fmt.Sprintf("`%s` in %s", method, phase), counted(func(c kongtest.Traffic) int { return c.Questions[name] }))
	}
	add("calls of the PDK together", func(t *spent) string { return fmt.Sprintf("%.4g", t.questions()) })
	add("frames to Kong", counted(func(c kongtest.Traffic) int { return c.FromPlugin.Frames }))
	add("frames to the plugin", counted(func(c kongtest.Traffic) int { return c.ToPlugin.Frames }))
	add("bytes to Kong", counted(func(c kongtest.Traffic) int { return c.FromPlugin.Bytes }))
	add("bytes to the plugin", counted(func(c kongtest.Traffic) int { return c.ToPlugin.Bytes }))
	measured := []string{systemCalls, reads, writes, switches, allocations, allocated, collections, residentSize}
	for _, n := range questionConnections {
		measured = append(measured, cpuRow(n))
	}
	for _, row := range measured {
		add(row, func(t *spent) string {
			if len(t.figures[row]) == 0 {
				return "–"
			}
			return fmt.Sprintf("%.3g", measure.Median(t.figures[row]))
		})
	}
	return measure.Table(rows)
}

// questionNames are those of every state.
func questionNames(states []*spent) []string {
	var names []string
	for _, t := range states {
		for name, n := range t.traffic.Questions {
			if n > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// questions are the calls of the PDK for each token.
func (t *spent) questions() float64 {
	sum := 0
	for _, n := range t.traffic.Questions {
		sum += n
	}
	return float64(sum) / t.tokens
}

func questionsVerdicts(states []*spent, missing string) []measure.Verdict {
	const goal = "plugin CPU for an ES256 token at 8 connections, of the state before"
	if missing != "" {
		return []measure.Verdict{measure.Unmeasured(goal, missing)}
	}
	row := cpuRow(callConnections)
	return []measure.Verdict{measure.AtMost(goal, measure.Median(states[1].figures[row])/measure.Median(states[0].figures[row]), 0.8, " ×")}
}
