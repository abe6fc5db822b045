package main

import (
	"flag"
	"io"
	"time"

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

// keys runs a command on a key file.
func keys(args []string, stdout, stderr io.Writer) int {
	run := &keysRun{policy: rotation.DefaultPolicy, now: time.Now(), stdout: stdout}
	return runVerb("keys", run.verbs(), args, stderr)
}

func (r *keysRun) verbs() map[string]verb {
	type flags = []func(*flag.FlagSet)
	return map[string]verb{
		"generate": {"[--type rsa|ec|ed25519] FILE", 1, 1, flags{r.kindFlag("rsa")}, r.on((*keysRun).generate)},
		"list": {"[--url JWKS_URL] [--every 2160h] [--max-age 5m] [--token-life 24h] FILE", 1, 1,
			flags{r.urlFlag, r.everyFlag, r.maxAgeFlag, r.tokenLifeFlag}, r.on((*keysRun).list)},
		"add":     {"[--type rsa|ec|ed25519] FILE", 1, 1, flags{r.kindFlag("")}, r.on((*keysRun).add)},
		"promote": {"[--max-age 5m] [--force] FILE KID", 2, 2, flags{r.maxAgeFlag, r.forceFlag}, r.on((*keysRun).promote)},
		"retire":  {"FILE KID", 2, 2, nil, r.on((*keysRun).retire)},
		"remove":  {"[--token-life 24h] [--force] FILE KID", 2, 2, flags{r.tokenLifeFlag, r.forceFlag}, r.on((*keysRun).remove)},
		"rotate":  {"[--every 2160h] [--max-age 5m] [--token-life 24h] FILE", 1, 1, flags{r.everyFlag, r.maxAgeFlag, r.tokenLifeFlag}, r.on((*keysRun).rotate)},
		"public":  {"FILE", 1, 1, nil, r.on((*keysRun).public)},
	}
}

// on runs a command on the file, and the key, that the arguments name.
func (r *keysRun) on(command func(*keysRun) error) func([]string) error {
	return func(args []string) error {
		if err := r.policy.Check(); err != nil {
			return usageError{err}
		}
		r.file = args[0]
		if len(args) > 1 {
			r.kid = args[1]
		}
		return command(r)
	}
}

func (r *keysRun) kindFlag(kind string) func(*flag.FlagSet) {
	usage := "rsa (RS256), ec (ES256) or ed25519 (EdDSA)"
	if kind == "" {
		usage += "; unset: as the signing key"
	}
	return func(set *flag.FlagSet) { set.StringVar(&r.kind, "type", kind, usage) }
}

func (r *keysRun) urlFlag(set *flag.FlagSet) {
	set.StringVar(&r.url, "url", "", "where a gateway publishes its keys, to compare")
}

func (r *keysRun) forceFlag(set *flag.FlagSet) {
	set.BoolVar(&r.force, "force", false, "don't wait; tokens may be refused")
}

func (r *keysRun) maxAgeFlag(set *flag.FlagSet) {
	set.DurationVar(&r.policy.MaxAge, "max-age", r.policy.MaxAge, "signing.jwks_max_age: for how long APIs keep the published keys")
}

func (r *keysRun) tokenLifeFlag(set *flag.FlagSet) {
	set.DurationVar(&r.policy.TokenLife, "token-life", r.policy.TokenLife, "the longest life of a token")
}

func (r *keysRun) everyFlag(set *flag.FlagSet) {
	set.DurationVar(&r.policy.Every, "every", r.policy.Every, "for how long a key signs")
}
