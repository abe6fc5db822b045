package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/jws/libcrypto"
	"m2m-token-enricher/plugin/visible"
)

// check checks every configuration of the plugin in a kong.yml.
func check(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name: "check", ArgsUsage: "KONG_YML", Usage: "Check the plugin's configuration, keys, provider and Redis",
		Description: described("It reports every error of every configuration of the plugin in a kong.yml, with its line. It exits with 1\n"+
			"if anything is wrong.", "check /etc/kong/kong.yml"),
		Action: func(ctx context.Context, cmd *cli.Command) error { return runCheck(ctx, cmd.Args().First(), stdout) },
	}
}

func runCheck(ctx context.Context, path string, stdout io.Writer) error {
	blocks, err := readBlocks(path)
	if err != nil {
		return err
	}
	jws.Accelerate(libcrypto.Load()) // as the server does
	var result error
	for _, b := range blocks {
		findings, err := diagnose.Check(ctx, b.config)
		for _, err := range b.located(err) {
			result = exitFailed
			visible.Fprintf(stdout, "error    %v\n", err)
		}
		for _, f := range findings {
			if f.Err != nil {
				result = exitFailed
				visible.Fprintf(stdout, "error    %s: %s: %v\n", b.path, f.What, f.Err)
				continue
			}
			standing := "ok"
			if f.Warning {
				standing = "warning"
			}
			visible.Fprintf(stdout, "%-8s %s: %s\n", standing, b.path, f.What)
		}
	}
	return result
}
