package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/rotation"
)

// keysRun is one run of a keys command.
type keysRun struct {
	file, kid string
	kind      string
	url       string
	force     bool
	policy    rotation.Policy
	now       time.Time
	stdout    io.Writer
}

// verb is a keys command.
type verb struct {
	usage string
	kid   bool // it takes a KID
	flags func(*flag.FlagSet, *keysRun)
	run   func(*keysRun) error
}

var verbs = map[string]verb{
	"generate": {"[--type rsa|ec|ed25519] FILE", false, kindFlag("rsa"), (*keysRun).generate},
	"list":     {"[--url JWKS_URL] [--every 2160h] [--max-age 5m] [--token-life 24h] FILE", false, flags(urlFlag, everyFlag, maxAgeFlag, tokenLifeFlag), (*keysRun).list},
	"add":      {"[--type rsa|ec|ed25519] FILE", false, kindFlag(""), (*keysRun).add},
	"promote":  {"[--max-age 5m] [--force] FILE KID", true, flags(maxAgeFlag, forceFlag), (*keysRun).promote},
	"retire":   {"FILE KID", true, flags(), (*keysRun).retire},
	"remove":   {"[--token-life 24h] [--force] FILE KID", true, flags(tokenLifeFlag, forceFlag), (*keysRun).remove},
	"rotate":   {"[--every 2160h] [--max-age 5m] [--token-life 24h] FILE", false, flags(everyFlag, maxAgeFlag, tokenLifeFlag), (*keysRun).rotate},
	"public":   {"FILE", false, flags(), (*keysRun).public},
}

// keys runs a command on a key file. Flags stand before or after the
// arguments.
func keys(args []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	v, ok := verbs[name]
	if !ok {
		keysUsage(stderr)
		return 2
	}
	run := &keysRun{policy: rotation.DefaultPolicy, now: time.Now(), stdout: stdout}
	set := flag.NewFlagSet("keys "+name, flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s keys %s %s\n", plugin.Name, name, v.usage)
		set.PrintDefaults()
	}
	v.flags(set, run)
	rest, err := parseAnywhere(set, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if err := run.policy.Check(); err != nil {
		fmt.Fprintf(stderr, "%s: keys %s: %v\n", plugin.Name, name, err)
		return 2
	}
	if want := map[bool]int{false: 1, true: 2}[v.kid]; len(rest) != want {
		set.Usage()
		return 2
	}
	run.file = rest[0]
	if v.kid {
		run.kid = rest[1]
	}
	if err := v.run(run); err != nil {
		return done(fmt.Errorf("keys %s: %w", strings.TrimSpace(name+" "+run.kid), err), stderr)
	}
	return 0
}

func keysUsage(w io.Writer) {
	fmt.Fprintln(w, "usage:")
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		fmt.Fprintf(w, "  %s keys %s %s\n", plugin.Name, name, verbs[name].usage)
	}
}

// kidLength is the length of an RFC 7638 thumbprint in base64url.
const kidLength = 43

// parseAnywhere parses flags that stand before, between or after the
// arguments, and returns the arguments.
func parseAnywhere(set *flag.FlagSet, args []string) ([]string, error) {
	var rest, kids []string
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		kid := len(arg) == kidLength && arg[0] == '-' // one in 64 looks like a flag
		if kid {
			kids = append(kids, arg)
		}
		return kid
	})
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return append(rest, kids...), nil
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
}

type flagDefiner func(*flag.FlagSet, *keysRun)

func flags(define ...flagDefiner) func(*flag.FlagSet, *keysRun) {
	return func(set *flag.FlagSet, run *keysRun) {
		for _, d := range define {
			d(set, run)
		}
	}
}

func kindFlag(kind string) func(*flag.FlagSet, *keysRun) {
	usage := "rsa (RS256), ec (ES256) or ed25519 (EdDSA)"
	if kind == "" {
		usage += "; unset: as the signing key"
	}
	return func(set *flag.FlagSet, run *keysRun) { set.StringVar(&run.kind, "type", kind, usage) }
}

func urlFlag(set *flag.FlagSet, run *keysRun) {
	set.StringVar(&run.url, "url", "", "where a gateway publishes its keys, to compare")
}

func forceFlag(set *flag.FlagSet, run *keysRun) {
	set.BoolVar(&run.force, "force", false, "don't wait; tokens may be refused")
}

func maxAgeFlag(set *flag.FlagSet, run *keysRun) {
	set.DurationVar(&run.policy.MaxAge, "max-age", run.policy.MaxAge, "signing.jwks_max_age: for how long APIs keep the published keys")
}

func tokenLifeFlag(set *flag.FlagSet, run *keysRun) {
	set.DurationVar(&run.policy.TokenLife, "token-life", run.policy.TokenLife, "the longest life of a token")
}

func everyFlag(set *flag.FlagSet, run *keysRun) {
	set.DurationVar(&run.policy.Every, "every", run.policy.Every, "for how long a key signs")
}
