package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

// explainRun is one run of the explain command.
type explainRun struct {
	target   target
	audience []string
	token    string
	print    printer
}

// explain shows what the gateway would do with a client's token, and why.
func explain(stdout io.Writer) *cli.Command {
	r := &explainRun{target: target{runsWorkflow: true}, print: printer{out: stdout}}
	return &cli.Command{
		Name: "explain", ArgsUsage: "[CLIENT_ID]", Usage: "Show what the gateway would do with a token, and why",
		Description: described("It looks up the records of a client, or of the client of a token. It exits with 3 if the gateway would\n"+
			"refuse the token or pass it unchanged, and with 4 if the answer is unknown now.",
			"explain -c kong.yml CLIENT_ID\n  m2m-token-enricher explain -c kong.yml --token token.jwt"),
		Flags: append([]cli.Flag{
			audienceFlag(&r.audience),
			&cli.StringFlag{Name: "token", Destination: &r.token, Usage: "Verify the provider's token, or whole answer, in this `FILE`, - for standard input"},
			jsonFlag(&r.print, "Print JSON"),
		}, r.target.flags()...),
		Action: interruptible(r.run),
	}
}

// audienceFlag returns a flag that gives an imagined token its audience.
func audienceFlag(audience *[]string) cli.Flag {
	return &cli.StringSliceFlag{Name: "audience", Destination: audience, Usage: "An `AUDIENCE` of the token, such as https://api.example.com"}
}

func (r *explainRun) run(ctx context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() == (r.token != "") {
		return usageError{errors.New("give a CLIENT_ID or --token, and not both")}
	}
	cfg, err := r.target.overridden()
	if err != nil {
		return err
	}
	x, err := r.explanation(ctx, cfg, cmd.Args().First())
	if err != nil {
		return summarized(schema.Split(err), "check "+r.target.file)
	}
	if r.target.allRoutes {
		x.Reuse = x.Reuse.OnAllRoutes()
	}
	if err := r.print.explanation(x); err != nil {
		return err
	}
	if !r.print.json {
		r.print.reuse(x.Reuse)
	}
	return verdict(x)
}

func (r *explainRun) explanation(ctx context.Context, cfg *schema.Config, clientID string) (*diagnose.Explanation, error) {
	if r.token == "" {
		return diagnose.Explain(ctx, cfg, clientID, r.audience)
	}
	saved, err := readToken(r.token)
	if err != nil {
		return nil, err
	}
	return diagnose.ExplainToken(ctx, cfg, cmp.Or(saved.answer, saved.token))
}

// verdict returns the exit code of an explanation, nil if it is 0.
func verdict(x *diagnose.Explanation) error {
	switch outcome := enrich.Outcome(x.Outcome); {
	case outcome == enrich.Enriched:
		return nil
	case outcome.GatewayFails():
		return exitUnavailable
	}
	return exitRefused
}

// explanation prints what the gateway would do with a token.
func (p *printer) explanation(x *diagnose.Explanation) error {
	if p.json {
		return p.value(x)
	}
	for _, kind := range append([]schema.Kind{schema.Token}, schema.Kinds...) {
		p.source(x, kind)
	}
	if w := x.Workflow; w != nil {
		visible.Fprintf(p.out, "workflow: %s, id %s\n", w.File, visible.Value(w.ID))
	}
	for _, line := range x.Printed {
		visible.Fprintf(p.out, "printed: %s\n", visible.Value(line))
	}
	passes := map[bool]string{true: ", the provider's answer passes"}[x.Action == "pass"]
	visible.Fprintf(p.out, "outcome: %s%s\n", x.Outcome, passes)
	if x.Cause != "" {
		visible.Fprintf(p.out, "why: %s\n", strings.ReplaceAll(x.Cause, "\n", "; "))
	}
	if x.Outcome != string(enrich.Enriched) {
		visible.Fprintf(p.out, "what to do: %s\n", enrich.Outcome(x.Outcome).Advice())
	}
	for _, name := range x.Dropped {
		visible.Fprintf(p.out, "- %s, beside the access token\n", visible.Word(name))
	}
	for _, name := range x.Added {
		by := ""
		if source := x.Expressions[name]; source != "" {
			by = ", by " + visible.Value(source)
		}
		visible.Fprintf(p.out, "+ %s: %s%s\n", visible.Word(name), x.Claims[name], by)
	}
	if x.Workflow != nil && len(x.Workflow.Sets) > 0 {
		visible.Fprintf(p.out, "set by the workflow: %s\n", strings.Join(x.Workflow.Sets, ", "))
	}
	if x.Seconds > 0 {
		ran := time.Duration(x.Seconds * float64(time.Second))
		visible.Fprintf(p.out, "time: %s\n", ran.Round(time.Microsecond))
	}
	return nil
}

// reuse prints whether the same request gets the same answer again.
func (p *printer) reuse(r diagnose.Reuse) {
	if r.WhyNot != "" {
		visible.Fprintf(p.out, "reuse: no, %s\n", r.WhyNot)
		return
	}
	var times []string
	if r.Seconds > 0 {
		times = append(times, fmt.Sprintf("for up to %d s", r.Seconds))
	}
	if r.OutageSeconds > 0 {
		times = append(times, fmt.Sprintf("for up to %d s while the provider fails", r.OutageSeconds))
	}
	condition := "if the request has its own client secret"
	if r.AtMost {
		condition += " and the token lives long enough (--token FILE shows its life)"
	}
	visible.Fprintf(p.out, "reuse: %s, %s\n", strings.Join(times, ", and "), condition)
}

// source prints what was read of the records of kind. A workflow chooses them, so its
// records are named.
func (p *printer) source(x *diagnose.Explanation, kind schema.Kind) {
	for _, found := range x.Read {
		if found.Kind == kind && x.Seconds > 0 {
			visible.Fprintf(p.out, "read: %s %s\n", kind, visible.Value(found.ID))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.Records[kind])) {
		value := "(missing)"
		if text := x.Records[kind][name]; text != nil {
			value = visible.Value(*text)
		}
		visible.Fprintf(p.out, "%s.%s = %s\n", kind, visible.Word(name), value)
	}
}
