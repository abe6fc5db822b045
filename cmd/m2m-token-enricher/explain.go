package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

// Exit codes of explain beside those that every command has.
const (
	exitRefused     = 3 // the token would be refused, or pass as it is
	exitUnavailable = 4 // nobody can tell now
)

// explainRun is one run of the explain command.
type explainRun struct {
	target   target
	audience audiences
	token    string
	print    printer
	code     int
}

// audiences is a flag that can be given several times.
type audiences []string

func (a *audiences) String() string { return strings.Join(*a, ",") }

// Set implements [flag.Value].
func (a *audiences) Set(text string) error {
	*a = append(*a, text)
	return nil
}

// explain tells what would become of a token of a client, and why.
func explain(args []string, stdout, stderr io.Writer) int {
	run := &explainRun{print: printer{out: stdout}}
	verbs := map[string]verb{"explain": {"-c KONG_YML [--audience AUDIENCE…] [--json] CLIENT_ID | -c KONG_YML --token FILE", 0, 1,
		[]func(*flag.FlagSet){run.target.flags, run.flags}, run.run}}
	if code := runVerb("", verbs, append([]string{"explain"}, args...), stderr); code != 0 {
		return code
	}
	return run.code
}

func (r *explainRun) flags(set *flag.FlagSet) {
	set.Var(&r.audience, "audience", "audience of the token, such as https://api.example.com; may be repeated")
	set.StringVar(&r.token, "token", "", "file with a real token of the provider, - for standard input; it is verified")
	set.BoolVar(&r.print.json, "json", false, "print JSON")
}

func (r *explainRun) run(args []string) error {
	if (len(args) == 1) == (r.token != "") {
		return usageError{errors.New("a CLIENT_ID or --token is needed, not both")}
	}
	cfg, err := r.target.overridden()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var x *diagnose.Explanation
	if r.token != "" {
		token, err := readToken(r.token)
		if err != nil {
			return err
		}
		x, err = diagnose.ExplainToken(ctx, cfg, token)
		if err != nil {
			return err
		}
	} else if x, err = diagnose.Explain(ctx, cfg, args[0], r.audience); err != nil {
		return err
	}
	r.code = exitCode(x)
	return r.show(x)
}

func exitCode(x *diagnose.Explanation) int {
	switch enrich.Outcome(x.Outcome) {
	case enrich.Enriched:
		return 0
	case enrich.LookupUnavailable, enrich.KeysUnavailable, enrich.InternalError:
		return exitUnavailable
	}
	return exitRefused
}

// readToken reads a token from a file, which is safer than a command line.
func readToken(path string) (string, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (r *explainRun) show(x *diagnose.Explanation) error {
	if r.print.json {
		return r.print.value(x)
	}
	for _, kind := range []schema.Kind{schema.Application, schema.Organization, schema.User} {
		for _, name := range slices.Sorted(maps.Keys(x.Records[kind])) {
			value := "(missing)"
			if text := x.Records[kind][name]; text != nil {
				value = visible.Value(*text)
			}
			visible.Fprintf(r.print.out, "%s.%s = %s\n", kind, visible.Word(name), value)
		}
	}
	passes := map[bool]string{true: ", the provider's answer passes"}[x.Action == "pass"]
	visible.Fprintf(r.print.out, "outcome: %s%s\n", x.Outcome, passes)
	if x.Cause != "" {
		visible.Fprintf(r.print.out, "why: %s\n", strings.ReplaceAll(x.Cause, "\n", "; "))
	}
	if x.Outcome != string(enrich.Enriched) {
		visible.Fprintf(r.print.out, "what to do: %s\n", enrich.Outcome(x.Outcome).Advice())
	}
	for _, name := range x.Added {
		visible.Fprintf(r.print.out, "+ %s: %s\n", visible.Word(name), x.Claims[name])
	}
	return nil
}

// inspect says who signed a token and what an API would decide.
func inspect(args []string, stdout, stderr io.Writer) int {
	run := &explainRun{print: printer{out: stdout}}
	url := ""
	verbs := map[string]verb{"inspect": {"-c KONG_YML --url JWKS_URL [--json] FILE", 1, 1, []func(*flag.FlagSet){run.target.flags, func(set *flag.FlagSet) {
		set.StringVar(&url, "url", "", "where the gateway publishes its keys, such as https://gateway.example.com/m2m/jwks.json")
		set.BoolVar(&run.print.json, "json", false, "print JSON")
	}}, func(args []string) error { return run.inspect(url, args[0]) }}}
	if code := runVerb("", verbs, append([]string{"inspect"}, args...), stderr); code != 0 {
		return code
	}
	return run.code
}

func (r *explainRun) inspect(url, file string) error {
	cfg, err := r.target.config()
	if err != nil {
		return err
	}
	if cfg == nil || url == "" {
		return usageError{errors.New("-c KONG_YML and --url are needed")}
	}
	token, err := readToken(file)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	i, err := diagnose.Inspect(ctx, cfg, url, token)
	if err != nil {
		return err
	}
	if !i.Accepted {
		r.code = exitRefused
	}
	if r.print.json {
		return r.print.value(i)
	}
	visible.Fprintf(r.print.out, "header: %s\nclaims: %s\nsigned by: %s\n", i.Header, i.Payload, i.SignedBy)
	if i.Accepted {
		visible.Fprintf(r.print.out, "an API that trusts the gateway's keys accepts it, if it is in aud\n")
		return nil
	}
	visible.Fprintf(r.print.out, "an API that trusts the gateway's keys refuses it: %s\n", i.Why)
	return nil
}
