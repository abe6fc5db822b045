package main

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/visible"
)

// inspectRun is one run of the inspect command.
type inspectRun struct {
	target target
	url    string
	print  printer
}

// inspect shows who signed a token and what an API would decide.
func inspect(stdout io.Writer) *cli.Command {
	r := &inspectRun{target: target{withoutRedis: true}, print: printer{out: stdout}}
	return &cli.Command{
		Name: "inspect", ArgsUsage: "FILE", Usage: "Show what is in a token, who signed it, and whether an API would accept it",
		Description: described("FILE has the token, or the whole token answer; - is standard input. With -c and --url it exits with 3\nif an API would refuse the token. Without them it only shows the content.",
			"inspect -c kong.yml --url https://gateway.example.com/m2m/jwks.json token.jwt"),
		Flags: append(r.target.fileFlags(),
			&cli.StringFlag{Name: "url", Destination: &r.url, Usage: "The gateway publishes its keys at this `URL`, such as https://gateway.example.com/m2m/jwks.json"},
			jsonFlag(&r.print, "Print JSON")),
		Action: interruptible(r.run),
	}
}

func (r *inspectRun) run(ctx context.Context, cmd *cli.Command) error {
	cfg, err := r.target.config()
	if err != nil {
		return err
	}
	if (cfg == nil) != (r.url == "") {
		return usageError{errors.New("-c KONG_YML and --url go together; without both, nothing is verified")}
	}
	saved, err := readToken(cmd.Args().First())
	if err != nil {
		return err
	}
	var i *diagnose.Inspection
	if cfg == nil {
		i, err = diagnose.Content(saved.token)
	} else {
		i, err = diagnose.Inspect(ctx, cfg, r.url, saved.token)
	}
	if err != nil {
		return err
	}
	if err := r.show(i); err != nil || cfg == nil || i.Accepted {
		return err
	}
	return exitRefused
}

func (r *inspectRun) show(i *diagnose.Inspection) error {
	if r.print.json {
		return r.print.value(i)
	}
	visible.Fprintf(r.print.out, "header: %s\nclaims: %s\n", i.Header, i.Payload)
	switch {
	case i.SignedBy == diagnose.Unverified:
		visible.Fprintf(r.print.out, "nothing is verified: for that, add -c KONG_YML and --url\n")
	case i.Accepted:
		visible.Fprintf(r.print.out, "signed by: %s\nan API that trusts the gateway's keys accepts it, if it is in aud\n", i.SignedBy)
	default:
		visible.Fprintf(r.print.out, "signed by: %s\nan API that trusts the gateway's keys refuses it: %s\n", i.SignedBy, i.Why)
	}
	return nil
}
