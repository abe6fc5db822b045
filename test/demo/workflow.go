package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"m2m-token-enricher/test/stage"
)

// useWorkflow lets the workflow set the claims, and not the mapping of the
// configuration. It returns what workflow check shows.
func (d *demo) useWorkflow(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, d.binary, "workflow", "check", d.workflow).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("workflow check %s: %w\n%s", d.workflow, err, out)
	}
	text, err := os.ReadFile(d.kongYML)
	if err != nil {
		return "", err
	}
	text, err = stage.Edit(text, func(config map[string]any) {
		delete(config, "claims")
		config["workflow"] = map[string]any{"path": d.workflow}
	})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(d.kongYML, text, 0o600); err != nil {
		return "", err
	}
	return string(out), d.gateway.Reload(text)
}

func (d *demo) showWorkflow(ctx context.Context) error {
	checked, err := d.useWorkflow(ctx)
	if err != nil {
		return err
	}
	play("workflow check "+d.workflow, checked)
	raw, err := ask(ctx, d.provider.URL(), stage.Client, "https://api.example.com")
	if err != nil {
		return err
	}
	if _, err := d.showEnriched(ctx, raw.token); err != nil {
		return err
	}
	fmt.Println("   This serves your own repository: make demo-up WORKFLOW=/path/to/it")
	return nil
}

// play shows a command and its output as a reader would see them.
func play(command, out string) {
	fmt.Printf("   $ m2m-token-enricher %s\n", command)
	for line := range strings.Lines(strings.TrimSpace(out)) {
		fmt.Printf("     %s\n", strings.TrimRight(line, "\n"))
	}
	fmt.Println()
}
