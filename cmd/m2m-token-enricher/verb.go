package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/visible"
)

// verb is one command of a group, such as "keys add".
type verb struct {
	usage string // its flags and arguments
	least int    // arguments
	most  int    // arguments; unlimited for any number
	flags []func(*flag.FlagSet)
	run   func(args []string) error
}

const unlimited = 1 << 30

// usageError is a command line that is wrong in a way that flags can't tell.
type usageError struct{ error }

// runVerb runs the command of group that args name, and returns its exit code.
// Flags stand before, between or after the arguments.
func runVerb(group string, verbs map[string]verb, args []string, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	v, ok := verbs[name]
	if !ok {
		visible.Fprintf(stderr, "usage:\n")
		for _, name := range slices.Sorted(maps.Keys(verbs)) {
			visible.Fprintf(stderr, "  %s %s %s %s\n", plugin.Name, group, name, verbs[name].usage)
		}
		return 2
	}
	set := flag.NewFlagSet(group+" "+name, flag.ContinueOnError)
	usage := func() {
		visible.Fprintf(stderr, "usage: %s %s %s %s\n", plugin.Name, group, name, v.usage)
		set.SetOutput(stderr)
		set.PrintDefaults()
	}
	for _, define := range v.flags {
		define(set)
	}
	rest, err := parseAnywhere(set, args[1:], usage, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if len(rest) < v.least || len(rest) > v.most {
		usage()
		return 2
	}
	err = v.run(rest)
	if err == nil {
		return 0
	}
	code := done(fmt.Errorf("%s %s: %w", group, name, err), stderr)
	if errors.As(err, new(usageError)) {
		code = 2
	}
	return code
}

// parse parses flags and says what is wrong with them. The package flag would
// repeat an argument as it is.
func parse(set *flag.FlagSet, args []string, usage func(), stderr io.Writer) error {
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	err := set.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		visible.Fprintf(stderr, "%v\n", err)
	}
	if err != nil {
		usage()
	}
	return err
}

// kidLength is the length of an RFC 7638 thumbprint in base64url.
const kidLength = 43

// parseAnywhere parses flags that stand before, between or after the
// arguments, and returns the arguments. After "--" there are arguments only.
func parseAnywhere(set *flag.FlagSet, args []string, usage func(), stderr io.Writer) ([]string, error) {
	var rest, last []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, last = args[:i], args[i+1:]
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		kid := len(arg) == kidLength && arg[0] == '-' && !strings.Contains(arg, "=") // one in 64 looks like a flag
		if kid {
			last = append(last, arg)
		}
		return kid
	})
	for {
		if err := parse(set, args, usage, stderr); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return append(rest, last...), nil
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
}
