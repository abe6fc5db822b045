package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// TestArguments: flags stand before, between or after the arguments; behind "--"
// there are arguments only, and a key ID is never a flag.
func TestArguments(t *testing.T) {
	kid := "-" + strings.Repeat("k", kidLength-1)
	digits := "-" + strings.Repeat("5", kidLength-1)
	for _, tt := range []struct {
		name string
		line []string
		code int
		args []string // with the flags' values in front
	}{
		{"flags first", []string{"-n", "1", "--force", "a", "b"}, 0, []string{"1", "true", "a", "b"}},
		{"flags between", []string{"a", "-n=1", "b", "-force"}, 0, []string{"1", "true", "a", "b"}},
		{"a value that begins with -", []string{"a", "-n", "-x"}, 0, []string{"-x", "false", "a"}},
		{"a value of nothing", []string{"a", "-n", ""}, 0, []string{"", "false", "a"}},
		{"arguments only", []string{"a", "--", "-n", "--force"}, 0, []string{"", "false", "a", "-n", "--force"}},
		{"standard input", []string{"-", "--force"}, 0, []string{"", "true", "-"}},
		{"white space", []string{" a ", "\t"}, 0, []string{"", "false", " a ", "\t"}},
		{"the name of a command", []string{"help", "verb"}, 0, []string{"", "false", "help", "verb"}},
		{"a key ID", []string{"a", kid, "--force"}, 0, []string{"", "true", "a", kid}},
		{"a key ID of digits", []string{digits, "--force", "a"}, 0, []string{"", "true", "a", digits}},
		{"a number, then a flag", []string{"-5", "--force"}, 2, nil},
		{"a number", []string{"a", "-5"}, 2, nil},
		{"no argument", []string{"--force"}, 2, nil},
		{"a flag without its value", []string{"a", "-n"}, 2, nil},
		{"an unknown flag", []string{"a", "--m"}, 2, nil},
		{"completion of a value", []string{"a", kid, "-n", completing}, 0, nil},
		{"completion", []string{"a", completing}, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			verb := &cli.Command{
				Name: "verb", ArgsUsage: "ARG…",
				Flags: []cli.Flag{&cli.StringFlag{Name: "n"}, &cli.BoolFlag{Name: "force"}},
				Action: func(_ context.Context, cmd *cli.Command) error {
					force := map[bool]string{true: "true", false: "false"}[cmd.Bool("force")]
					got = append([]string{cmd.String("n"), force}, cmd.Args().Slice()...)
					return nil
				},
			}
			root := &cli.Command{Name: "tool", Commands: []*cli.Command{{Name: "group", Commands: []*cli.Command{verb}}}}
			code := execute(root, append([]string{"group", "verb"}, tt.line...), io.Discard, io.Discard)
			if code != tt.code || !slices.Equal(got, tt.args) {
				t.Errorf("exit code %d, arguments %q, want %d and %q", code, got, tt.code, tt.args)
			}
		})
	}
}

// TestEveryCommandIsExplained: by a sentence and an example.
func TestEveryCommandIsExplained(t *testing.T) {
	root := server(io.Discard)
	root.Commands = commands(io.Discard, io.Discard)
	_ = root.Walk(func(c *cli.Command) error {
		if c.Usage == "" || len(c.Commands) == 0 && !strings.Contains(c.Description, "Example") {
			t.Errorf("%s has no sentence or no example", c.Name)
		}
		return nil
	})
}
