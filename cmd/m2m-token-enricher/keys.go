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
	return &cli.Command{
		Name: "keys", Usage: "Make signing keys and rotate them", Description: aboutKeys,
		Commands: []*cli.Command{
			{Name: "generate", ArgsUsage: "FILE", Usage: "Write a new key file with a signing key",
				Description: "It never overwrites a file.\n\nExample:\n  m2m-token-enricher keys generate --type ec keys.json",
				Flags:       []cli.Flag{r.kindFlag("rsa")}, Action: r.on((*keysRun).generate)},
			{Name: "list", ArgsUsage: "FILE", Usage: "Show the keys, their roles and what to do next",
				Description: "With --url, it also compares the file with the keys that a gateway publishes, and fails if they differ.\n\n" +
					"Example:\n  m2m-token-enricher keys list --url https://gateway.example.com/m2m/jwks.json keys.json",
				Flags: []cli.Flag{r.urlFlag(), r.everyFlag(), r.maxAgeFlag(), r.tokenLifeFlag()}, Action: interruptible(r.on((*keysRun).list))},
			{Name: "add", ArgsUsage: "FILE", Usage: "Add a key that is published and doesn't sign yet",
				Description: "Example:\n  m2m-token-enricher keys add keys.json",
				Flags:       []cli.Flag{r.kindFlag("")}, Action: r.on((*keysRun).add)},
			{Name: "promote", ArgsUsage: "FILE KID", Usage: "Sign with this key from now on",
				Description: "It refuses a key that APIs may not have fetched yet. The previous signing key stays published.\n\n" +
					"Example:\n  m2m-token-enricher keys promote keys.json KID",
				Flags: []cli.Flag{r.maxAgeFlag(), r.forceFlag()}, Action: r.on((*keysRun).promote)},
			{Name: "retire", ArgsUsage: "FILE KID", Usage: "Erase the private part of a key that no longer signs",
				Description: "The key stays published.\n\nExample:\n  m2m-token-enricher keys retire keys.json KID",
				Action:      r.on((*keysRun).retire)},
			{Name: "remove", ArgsUsage: "FILE KID", Usage: "Stop publishing a key",
				Description: "It refuses a key whose tokens may still be valid.\n\nExample:\n  m2m-token-enricher keys remove keys.json KID",
				Flags:       []cli.Flag{r.tokenLifeFlag(), r.forceFlag()}, Action: r.on((*keysRun).remove)},
			{Name: "rotate", ArgsUsage: "FILE", Usage: "Take the next step of the rotation if it is due",
				Description: "It takes one step at most and prints when the next is due. Run it every hour from cron.\n\n" +
					"Example:\n  m2m-token-enricher keys rotate --every 90d --max-age 5m --token-life 1d keys.json",
				Flags: []cli.Flag{r.everyFlag(), r.maxAgeFlag(), r.tokenLifeFlag()}, Action: r.on((*keysRun).rotate)},
			{Name: "public", ArgsUsage: "FILE", Usage: "Print the public keys as a JWK set",
				Description: "Example:\n  m2m-token-enricher keys public keys.json > jwks.json",
				Action:      r.on((*keysRun).public)},
		},
	}
}

// on runs a command on the file, and the key, that the arguments name.
func (r *keysRun) on(command func(*keysRun, context.Context) error) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if err := r.policy.Check(); err != nil {
			return usageError{err}
		}
		r.file, r.kid = cmd.Args().Get(0), cmd.Args().Get(1)
		return command(r, ctx)
	}
}

func (r *keysRun) kindFlag(kind string) cli.Flag {
	usage := "Make a key of this `TYPE`: rsa (RS256), ec (ES256) or ed25519 (EdDSA)"
	if kind == "" {
		usage += "; unset: as the signing key"
	}
	return &cli.StringFlag{Name: "type", Destination: &r.kind, Value: kind, Usage: usage}
}

func (r *keysRun) urlFlag() cli.Flag {
	return &cli.StringFlag{Name: "url", Destination: &r.url, Usage: "Compare with the keys that a gateway publishes at this `URL`"}
}

func (r *keysRun) forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Destination: &r.force, HideDefault: true, Usage: "Don't wait; APIs may refuse tokens"}
}

func (r *keysRun) maxAgeFlag() cli.Flag {
	return &durationFlag{Name: "max-age", Destination: &r.policy.MaxAge, Value: r.policy.MaxAge,
		Usage: "APIs cache the published keys for this `DURATION`, signing.jwks_max_age"}
}

func (r *keysRun) tokenLifeFlag() cli.Flag {
	return &durationFlag{Name: "token-life", Destination: &r.policy.TokenLife, Value: r.policy.TokenLife,
		Usage: "No token is valid for longer than this `DURATION`"}
}

func (r *keysRun) everyFlag() cli.Flag {
	return &durationFlag{Name: "every", Destination: &r.policy.Every, Value: r.policy.Every, Usage: "A key signs for this `DURATION`"}
}
