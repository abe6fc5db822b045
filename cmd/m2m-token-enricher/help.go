package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/schema"
)

// choose is the action of a command that is a group of others.
func choose(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		return unknownCommand(cmd, cmd.Args().First())
	}
	cmd.Root().Writer = cmd.Root().ErrWriter
	return errors.Join(show(cmd), exitUsage)
}

// helpCommand returns what "-help" is as a command, of a group or of all.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", ArgsUsage: "[COMMAND…]", Usage: "Show what a command does, its flags and an example",
		Description: described("", "help keys rotate"), Action: help,
	}
}

// help shows the help of the command that its arguments name.
func help(_ context.Context, cmd *cli.Command) error {
	at := cmd.Lineage()[1]
	for _, name := range cmd.Args().Slice() {
		sub := at.Command(name)
		if sub == nil {
			return unknownCommand(at, name)
		}
		at = sub
	}
	return show(at)
}

// described returns the description of a command, with an example.
func described(about, example string) string {
	if about != "" {
		about += "\n\n"
	}
	return about + "Example:\n  m2m-token-enricher " + strings.TrimSpace(example)
}

func show(cmd *cli.Command) error {
	if cmd == cmd.Root() {
		return cli.ShowRootCommandHelp(cmd)
	}
	return cli.ShowCommandHelp(context.Background(), cmd.Lineage()[1], cmd.Name)
}

func unknownCommand(cmd *cli.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands {
		names = append(names, c.Name)
	}
	return failure{cmd, usageError{fmt.Errorf("unknown command %q%s", name, schema.DidYouMean(name, names))}}
}

// suggestFlag adds to an error of the parser's which flag may have been meant.
func suggestFlag(cmd *cli.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	var names []string
	for _, flag := range cmd.Flags {
		for _, known := range flag.Names() {
			names = append(names, dashed(known))
		}
	}
	return fmt.Errorf("unknown flag %s%s", dashed(name), schema.DidYouMean(dashed(name), names))
}

// dashed returns a flag as it is written.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
