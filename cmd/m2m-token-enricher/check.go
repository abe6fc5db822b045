package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/jws/libcrypto"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

// check checks every configuration of the plugin in a kong.yml.
func check(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name: "check", ArgsUsage: "KONG_YML", Usage: "Check the plugin's configuration, keys, provider and Redis",
		Description: described("It reports every error of every configuration of the plugin in a kong.yml, with its line. The file may also\n"+
			"have KongPlugin manifests. It exits with 1 if anything is wrong.", "check /etc/kong/kong.yml"),
		Action: func(ctx context.Context, cmd *cli.Command) error { return runCheck(ctx, cmd.Args().First(), stdout) },
	}
}

func runCheck(ctx context.Context, path string, stdout io.Writer) error {
	file, err := readKongFile(path)
	if err != nil {
		return err
	}
	jws.Accelerate(libcrypto.Load()) // as the server does
	for _, s := range file.skipped {
		visible.Fprintf(stdout, "skipped  %s: %s\n", s.place, s.what)
	}
	c := checkRun{stdout: stdout, told: map[string]bool{}}
	for _, b := range file.blocks {
		c.check(ctx, b)
	}
	return c.result
}

// checkRun is one run of the check command.
type checkRun struct {
	stdout io.Writer
	told   map[string]bool // lines about values that several plugins may share
	result error
}

func (c *checkRun) check(ctx context.Context, b block) {
	findings, err := diagnose.Check(ctx, b.config)
	if errs := b.located(err); len(errs) > 0 {
		c.result = exitFailed
		c.tell("error", errs)
	}
	if cfg, _ := schema.Parse(b.config); cfg != nil {
		c.tell("unknown", b.unknown(cfg.Unknown, "not checked"))
		if cfg.Reuse.Enabled && b.allRoutes {
			findings = append(findings, diagnose.Finding{What: "reuse: no answer is reused, because " + diagnose.AllRoutes, Warning: true})
		}
	}
	for _, f := range findings {
		if f.Err != nil {
			c.result = exitFailed
			visible.Fprintf(c.stdout, "error    %s: %s: %v\n", b.title, f.What, f.Err)
			continue
		}
		standing := "ok"
		if f.Warning {
			standing = "warning"
		}
		visible.Fprintf(c.stdout, "%-8s %s: %s\n", standing, b.title, f.What)
	}
}

// tell prints each line once.
func (c *checkRun) tell(word string, lines []error) {
	for _, line := range lines {
		text := fmt.Sprintf("%-8s %v", word, line)
		if !c.told[text] {
			c.told[text] = true
			visible.Fprintf(c.stdout, "%s\n", text)
		}
	}
}
