package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/gateway/diagnose"
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/plugin/workflow"
	"m2m-token-enricher/schema"
)

// workflowRun is one run of a workflow command.
type workflowRun struct {
	target   target
	client   string
	audience []string
	event    string
	records  string
	print    printer
	stderr   io.Writer
}

// onWorkflow returns the commands on workflows.
func onWorkflow(stdout, stderr io.Writer) *cli.Command {
	newRun := func() *workflowRun { return &workflowRun{print: printer{out: stdout}, stderr: stderr} }
	write, check, try := newRun(), newRun(), newRun()
	try.target.runsWorkflow = true
	check.target.withoutRedis, check.target.fields = true, []string{"allow_authorization_claims", "client_id_claim"}
	return &cli.Command{
		Name: "workflow", Usage: "Write, check and run a Kinde workflow for M2M tokens",
		Description: "PATH is the workflow's file, or the folder of a repository that has it.",
		Commands: []*cli.Command{
			{Name: "new", ArgsUsage: "[PATH]", Usage: "Write a workflow to start from",
				Description: described("PATH is the folder of a repository, the current one if it is missing, or a file whose name ends in Workflow.ts.\nNothing is overwritten.", "workflow new"),
				Action:      supported(write.new)},
			{Name: "check", ArgsUsage: "PATH", Usage: "Check a workflow without running it",
				Description: described("It reports every error with its place, and exits with 1 if there is one. Which claims a workflow may set depends\n"+
					"on allow_authorization_claims and client_id_claim. Without -c, their defaults count.", "workflow check -c kong.yml ."),
				Flags:  check.target.fileFlags(),
				Action: supported(check.check)},
			{Name: "run", ArgsUsage: "PATH", Usage: "Run a workflow on real records, and show the claims",
				Description: described("It decides as the gateway does. The workflow needn't be in the configuration yet. Give --client or --event, and -c\n"+
					"or --records. The workflow's env and allow_hosts come from -c. It exits with 1 if the workflow fails, with 3 if the\n"+
					"gateway would refuse the token or pass it unchanged, and with 4 if the answer is unknown, such as when Redis\n"+
					"doesn't answer.",
					"workflow run . -c kong.yml --client CLIENT_ID\n  m2m-token-enricher workflow run . --event event.json --records records"),
				Flags:  append(try.flags(), try.target.flags()...),
				Action: supported(interruptible(try.run))},
		},
	}
}

// check shows what a workflow is, or every error in it.
func (r *workflowRun) check(_ context.Context, cmd *cli.Command) error {
	cfg, err := r.config(cmd.Args().First(), "")
	if err != nil {
		return err
	}
	info, err := diagnose.CheckWorkflow(cfg)
	if err != nil {
		for _, e := range ofWorkflow(err) {
			visible.Fprintf(r.print.out, "error    %v\n", e)
		}
		return exitFailed
	}
	bindings := cmp.Or(strings.Join(slices.Sorted(slices.Values(info.Bindings)), ", "), "none")
	policy := cmp.Or(info.Policy, "failure_policy of the configuration")
	for _, line := range [][2]string{
		{"file", info.File}, {"id", info.ID}, {"name", info.Name}, {"trigger", m2mTrigger},
		{"bindings", bindings}, {"failure policy", policy}, {"bundle", fmt.Sprintf("%d bytes", info.Size)},
	} {
		if line[1] != "" {
			visible.Fprintf(r.print.out, "%s: %s\n", line[0], visible.Value(line[1]))
		}
	}
	return nil
}

// ofWorkflow returns the errors that err joins. Those in the workflow don't name the
// field of the configuration: the command line names the workflow.
func ofWorkflow(err error) (all []error) {
	for _, e := range schema.Split(err) {
		if field, ok := errors.AsType[*schema.FieldError](e); ok && field.Path == "config.workflow.path" {
			e = errors.New(field.Problem)
		}
		all = append(all, e)
	}
	return all
}

// supported runs an action unless this binary was built without workflows.
func supported(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if err := workflow.Supported(); err != nil {
			return err
		}
		return action(ctx, cmd)
	}
}
