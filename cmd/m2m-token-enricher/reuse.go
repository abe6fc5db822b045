package main

import (
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

// purgeRun is one run of the reuse purge command.
type purgeRun struct {
	storeRun
	all bool
}

// onReuse returns the commands on answers that gateways reuse.
func onReuse(stdout, stderr io.Writer) *cli.Command {
	r := &purgeRun{storeRun: newStoreRun(stdout, stderr)}
	return &cli.Command{
		Name: "reuse", Usage: "Purge the answers that gateways reuse",
		Commands: []*cli.Command{{
			Name: "purge", ArgsUsage: "[CLIENT_ID]", Usage: "Drop the answers that gateways reuse for a client, or for all clients",
			Description: described("Run it after you revoke a client at the provider, or change its secret. Within a second, every gateway\n"+
				"that reads this Redis drops these answers and asks the provider again. Issued tokens stay valid until\n"+
				"they expire.",
				"reuse purge -c kong.yml CLIENT_ID\n  m2m-token-enricher reuse purge -c kong.yml --all"),
			Flags: append([]cli.Flag{
				&cli.BoolFlag{Name: "all", Destination: &r.all, HideDefault: true, Usage: "Purge the answers of all clients"},
			}, r.target.flags()...),
			Action: r.onStore(r.purge),
		}},
	}
}

var errNoReuse = errors.New("no configuration in this file has reuse.enabled, so there is nothing to purge")

func (r *purgeRun) purge(args []string) error {
	if r.all == (len(args) > 0) {
		return usageError{errors.New("give a CLIENT_ID or --all, and not both")}
	}
	configs, err := r.target.configs()
	if err != nil {
		return err
	}
	if len(configs) > 0 && !slices.ContainsFunc(configs, func(cfg *schema.Config) bool { return cfg.Reuse.Enabled }) {
		return errNoReuse
	}
	if r.all {
		if err := r.store.PurgeAll(r.ctx); err != nil {
			return err
		}
		visible.Fprintf(r.print.out, "purged all clients\n")
		return nil
	}
	all, err := r.store.Purge(r.ctx, args[0])
	if err != nil {
		return err
	}
	visible.Fprintf(r.print.out, "purged %s%s\n", visible.Value(args[0]), map[bool]string{true: " and all other clients, because many were purged before"}[all])
	return nil
}
