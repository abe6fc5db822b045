package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
)

// exitCode ends a command that has already printed why.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Exit codes.
const (
	exitFailed      exitCode = 1 // something failed, or check found an error
	exitUsage       exitCode = 2 // the command line is wrong
	exitRefused     exitCode = 3 // explain and inspect: the token would be refused, or pass as it is
	exitUnavailable exitCode = 4 // explain: the answer is unknown now
)

// usageError is an error in the command line.
type usageError struct{ error }

// failure is an error of a command.
type failure struct {
	cmd *cli.Command
	error
}

func (f failure) Error() string { return f.cmd.FullName() + ": " + f.error.Error() }
func (f failure) Unwrap() error { return f.error }

// Each command has its own -help, because the library's takes an argument for a
// command. The library calls the server's flags global.
func init() {
	cli.HelpFlag = nil
	cli.RootCommandHelpTemplate = strings.Replace(cli.RootCommandHelpTemplate, "GLOBAL OPTIONS", "OPTIONS OF THE SERVER", 1)
}

// execute runs the command that args name, or root. It reports an error and
// returns the exit code.
func execute(root *cli.Command, args []string, stdout, stderr io.Writer) int {
	args, literal := separate(args)
	complete := func(c *cli.Command) { _ = c.Walk(func(c *cli.Command) error { finish(c, literal); return nil }) }
	complete(root)
	root.Writer, root.ErrWriter = stdout, stderr
	root.HideHelp = true                                                // each command has its own
	root.ExitErrHandler = func(context.Context, *cli.Command, error) {} // errors are reported here
	root.EnableShellCompletion = true
	root.ConfigureShellCompletionCommand = func(c *cli.Command) {
		c.Hidden, c.Usage = false, "Print a script with which your shell completes commands and flags"
		complete(c)
	}
	return report(root.Run(context.Background(), slices.Concat([]string{root.Name}, args)), stderr)
}

func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	visible.Fprintf(stderr, "%v\n", err)
	if _, wrong := errors.AsType[usageError](err); !wrong {
		return int(exitFailed)
	}
	f, ok := errors.AsType[failure](err)
	if ok && len(f.cmd.Commands) == 0 {
		visible.Fprintf(stderr, "usage: %s\n", strings.TrimSpace(f.cmd.FullName()+" [options] "+f.cmd.ArgsUsage))
	}
	if ok {
		visible.Fprintf(stderr, "See \"%s -help\".\n", f.cmd.FullName())
	}
	return int(exitUsage)
}

// finish gives a command its -help and the rules that all commands share.
func finish(c *cli.Command, literal int) {
	c.Flags = append(c.Flags, &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "Show this help", HideDefault: true, Local: true})
	c.DisableSliceFlagSeparator = true
	c.OnUsageError = func(_ context.Context, cmd *cli.Command, err error, _ bool) error {
		return failure{cmd, usageError{suggestFlag(cmd, err)}}
	}
	if len(c.Commands) > 0 {
		c.Commands = append(c.Commands, helpCommand())
	}
	run := c.Action
	if run == nil {
		run = choose
	}
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		if slices.ContainsFunc(cmd.Lineage(), func(c *cli.Command) bool { return c.Bool("help") }) {
			return show(cmd)
		}
		err := accept(cmd, literal)
		if err == nil {
			err = run(ctx, cmd)
		}
		if _, named := errors.AsType[failure](err); err == nil || named {
			return err
		}
		return failure{cmd, err}
	}
}

// accept checks the arguments of cmd, of which the last literal ones may begin
// with "-".
func accept(cmd *cli.Command, literal int) error {
	if root := cmd.Root(); cmd != root && root.NumFlags() > 0 {
		return usageError{errors.New("write the flags after the command; those of the server don't go with a command")}
	}
	args := cmd.Args().Slice()
	for _, arg := range args[:max(0, len(args)-literal)] {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			return usageError{fmt.Errorf("unknown flag %s; write -- before arguments that begin with -", arg)}
		}
	}
	if len(cmd.Commands) > 0 {
		return nil
	}
	switch least, most := arity(cmd.ArgsUsage); {
	case len(args) < least:
		return usageError{fmt.Errorf("missing %s", strings.Join(strings.Fields(cmd.ArgsUsage)[len(args):], " and "))}
	case len(args) > most:
		return usageError{fmt.Errorf("unexpected argument %q", args[most])}
	}
	return nil
}

// interruptible cancels the context of an action on SIGINT and SIGTERM.
func interruptible(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		return action(ctx, cmd)
	}
}

// arity returns how many arguments a usage such as "FILE [KID]" or "ID KEY…"
// allows.
func arity(usage string) (least, most int) {
	const unlimited = 1 << 30
	for _, word := range strings.Fields(usage) {
		if !strings.HasPrefix(word, "[") {
			least++
		}
		most++
		if strings.Contains(word, "…") {
			most = unlimited
		}
	}
	return least, most
}

// kidLength is the length of an RFC 7638 thumbprint in base64url.
const kidLength = 43

// completing is the last argument when a shell asks how a line could continue.
const completing = "--generate-shell-completion"

// separate moves key IDs that begin with "-" behind "--", because they aren't
// flags. One in 64 begins so. It returns how many arguments stand there. A line
// that a shell completes is returned as it is.
func separate(args []string) (line []string, literal int) {
	if len(args) > 0 && args[len(args)-1] == completing {
		return args, 0
	}
	var last []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, last = args[:i], args[i+1:]
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		kid := len(arg) == kidLength && arg[0] == '-' && !strings.Contains(arg, "=")
		if kid {
			last = append(last, arg)
		}
		return kid
	})
	if len(last) == 0 {
		return args, 0
	}
	return slices.Concat(args, []string{"--"}, last), len(last)
}
