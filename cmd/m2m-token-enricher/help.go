package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
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
		Description: "Example:\n  m2m-token-enricher help keys rotate", Action: help,
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

func show(cmd *cli.Command) error {
	if cmd == cmd.Root() {
		return cli.ShowRootCommandHelp(cmd)
	}
	return cli.ShowCommandHelp(context.Background(), cmd.Lineage()[1], cmd.Name)
}

func unknownCommand(cmd *cli.Command, name string) error {
	return usageError{fmt.Errorf("unknown command %q%s", name, didYouMean(name, cli.SuggestCommand(cmd.Commands, name)))}
}

// suggestFlag adds to an error of the parser's which flag may have been meant.
func suggestFlag(cmd *cli.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	dashes := "-"
	if len(name) > 1 {
		dashes = "--"
	}
	return fmt.Errorf("unknown flag %s%s%s", dashes, name, didYouMean(dashes+name, cli.SuggestFlag(cmd.Flags, name, true)))
}

// didYouMean asks whether suggestion was meant, unless that is far-fetched: the
// library always has one, but few people mistype the first letter.
func didYouMean(name, suggestion string) string {
	name = strings.TrimLeft(name, "-")
	if name == "" || !strings.HasPrefix(strings.TrimLeft(suggestion, "-"), name[:1]) {
		return ""
	}
	return "; did you mean " + suggestion + "?"
}
