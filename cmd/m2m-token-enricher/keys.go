package main

import (
	"context"
	"io"
	"time"

	"github.com/urfave/cli/v3"

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

const aboutKeys = `A key file holds the keys that the gateway publishes. The first one signs. A new
key is published before it signs, and an old one until its last token has
expired. "rotate" does all of this, one step a run, from a cron job.`

// keys returns the commands on a key file.
func keys(stdout io.Writer) *cli.Command {
	r := &keysRun{policy: rotation.DefaultPolicy, now: time.Now(), stdout: stdout}
	const types = "Make a key of this `TYPE`: rsa (RS256), ec (ES256) or ed25519 (EdDSA)"
	every := durationFlag("every", &r.policy.Every, "A key signs for this `DURATION`")
	maxAge := durationFlag("max-age", &r.policy.MaxAge, "APIs cache the published keys for this `DURATION`, signing.jwks_max_age")
	tokenLife := durationFlag("token-life", &r.policy.TokenLife, "No token is valid for longer than this `DURATION`")
	force := &cli.BoolFlag{Name: "force", Destination: &r.force, HideDefault: true, Usage: "Don't wait; APIs may refuse tokens"}
	return &cli.Command{
		Name: "keys", Usage: "Make signing keys and rotate them", Description: aboutKeys,
		Commands: []*cli.Command{
			r.command("generate", "FILE", "Write a new key file with a signing key", "It never overwrites a file.", "--type ec keys.json", (*keysRun).generate,
				&cli.StringFlag{Name: "type", Destination: &r.kind, Value: "rsa", Usage: types}),
			r.command("list", "FILE", "Show the keys, their roles and what to do next",
				"With --url, it also compares the file with the keys that a gateway publishes, and fails if they differ.",
				"--url https://gateway.example.com/m2m/jwks.json keys.json", (*keysRun).list,
				&cli.StringFlag{Name: "url", Destination: &r.url, Usage: "Compare with the keys that a gateway publishes at this `URL`"}, every, maxAge, tokenLife),
			r.command("add", "FILE", "Add a key that is published and doesn't sign yet", "", "keys.json", (*keysRun).add,
				&cli.StringFlag{Name: "type", Destination: &r.kind, Usage: types + "; unset: as the signing key"}),
			r.command("promote", "FILE KID", "Sign with this key from now on",
				"It refuses a key that APIs may not have fetched yet. The previous signing key stays published.", "keys.json KID", (*keysRun).promote, maxAge, force),
			r.command("retire", "FILE KID", "Erase the private part of a key that no longer signs", "The key stays published.", "keys.json KID", (*keysRun).retire),
			r.command("remove", "FILE KID", "Stop publishing a key", "It refuses a key whose tokens may still be valid.", "keys.json KID", (*keysRun).remove, tokenLife, force),
			r.command("rotate", "FILE", "Take the next step of the rotation if it is due", "It takes one step at most and prints when the next is due. Run it every hour from cron.",
				"--every 90d --max-age 5m --token-life 1d keys.json", (*keysRun).rotate, every, maxAge, tokenLife),
			r.command("public", "FILE", "Print the public keys as a JWK set", "", "keys.json > jwks.json", (*keysRun).public),
		},
	}
}

// command returns a command on the file, and the key, that its arguments name.
func (r *keysRun) command(name, args, usage, about, example string, run func(*keysRun, context.Context) error, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: args, Usage: usage, Description: described(about, "keys "+name+" "+example), Flags: flags,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := r.policy.Check(); err != nil {
				return usageError{err}
			}
			r.file, r.kid = cmd.Args().Get(0), cmd.Args().Get(1)
			return run(r, ctx)
		},
	}
}
