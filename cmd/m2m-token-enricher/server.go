package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/user"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/jws/libcrypto"
	"m2m-token-enricher/plugin/visible"
)

const about = `It adds claims to machine-to-machine tokens on their way from the identity
provider to the client, and signs them with the gateway's keys. Without a
command, it is the server that Kong starts. Write in kong.conf:

plugins = bundled,m2m-token-enricher
pluginserver_names = m2m_token_enricher
pluginserver_m2m_token_enricher_socket = /usr/local/kong/m2m-token-enricher.socket
pluginserver_m2m_token_enricher_start_cmd = /usr/local/bin/m2m-token-enricher -kong-prefix /usr/local/kong
pluginserver_m2m_token_enricher_query_cmd = /usr/local/bin/m2m-token-enricher -dump

The commands are for operators. "m2m-token-enricher help keys rotate" explains
one of them. Flags work with one dash and with two. A command exits with 0 if all
is well, with 1 if something is wrong, and with 2 if the command line is wrong.`

// serverRun is one run of the plugin server.
type serverRun struct {
	options                   plugin.Options
	socketUsers, metricsUsers []string
	megabytes                 int64
	dump, version             bool
	stdout                    io.Writer
}

// server returns the command that Kong starts. The commands for operators are
// below it.
func server(stdout io.Writer) *cli.Command {
	r := &serverRun{stdout: stdout}
	return &cli.Command{
		Name: plugin.Name, Usage: "a plugin of Kong Gateway that enriches tokens", Description: about,
		UsageText: plugin.Name + " -kong-prefix DIRECTORY [options]\n" + plugin.Name + " COMMAND …",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "kong-prefix", Destination: &r.options.Prefix, Value: "/usr/local/kong", Local: true,
				Usage: "Make the socket in this `DIRECTORY`, Kong's prefix"},
			&cli.StringFlag{Name: "metrics", Destination: &r.options.Metrics, Local: true,
				Usage: "Serve Prometheus metrics at this `ADDRESS`, a host:port or a Unix socket: /metrics, /healthz, /readyz"},
			&cli.StringSliceFlag{Name: "socket-user", Destination: &r.socketUsers, Local: true,
				Usage: "Let this `USER`, a name or a number, connect to the socket, too; such a user can have tokens signed"},
			&cli.StringSliceFlag{Name: "metrics-user", Destination: &r.metricsUsers, Local: true,
				Usage: "Let this `USER`, a name or a number, connect to the metrics' Unix socket, too"},
			&cli.StringFlag{Name: "audit", Destination: &r.options.Audit, Local: true,
				Usage: "Append a line of JSON to this `FILE` for each issued token"},
			&cli.Int64Flag{Name: "audit-size", Destination: &r.megabytes, Value: 500, Local: true,
				Usage: "Move the audit log to FILE.1 before it has more than `N` MiB"},
			&cli.BoolFlag{Name: "dump", Destination: &r.dump, Local: true, HideDefault: true, Usage: "Print the plugin's schema for Kong"},
			&cli.BoolFlag{Name: "version", Destination: &r.version, Local: true, HideDefault: true, Usage: "Print the version"},
		},
		Action: interruptible(r.run),
	}
}

func (r *serverRun) run(ctx context.Context, cmd *cli.Command) error {
	switch {
	case r.version:
		jws.Accelerate(libcrypto.Load()) // to say what would sign
		visible.Fprintf(r.stdout, "%s %s (%s), signatures by %s\n", plugin.Name, plugin.Version, runtime.Version(), jws.Signatures())
		return nil
	case r.dump:
		return plugin.Dump(r.stdout)
	case cmd.Args().Present() || cmd.NumFlags() == 0:
		return choose(ctx, cmd)
	}
	if err := r.complete(); err != nil {
		return usageError{err}
	}
	collectFrom()
	jws.Accelerate(libcrypto.Load()) // before the first key is read
	return plugin.Serve(ctx, r.options)
}

// complete sets the options that need more than a flag's value.
func (r *serverRun) complete() (err error) {
	if r.megabytes < 1 || r.megabytes > 1<<20 {
		return fmt.Errorf("-audit-size must be from 1 to %d", 1<<20)
	}
	r.options.AuditSize = r.megabytes << 20
	if r.options.SocketUsers, err = userIDs(r.socketUsers); err != nil {
		return fmt.Errorf("-socket-user: %w", err)
	}
	if r.options.MetricsUsers, err = userIDs(r.metricsUsers); err != nil {
		return fmt.Errorf("-metrics-user: %w", err)
	}
	return nil
}

// userIDs returns the numbers of users. Digits are a number, even if a user has
// that name.
func userIDs(users []string) ([]uint32, error) {
	var ids []uint32
	for _, text := range users {
		number := text
		if strings.Trim(text, "0123456789") != "" {
			known, err := user.Lookup(text)
			if err != nil {
				return nil, err
			}
			number = known.Uid
		}
		uid, err := strconv.ParseUint(number, 10, 32)
		if err != nil || uid == math.MaxUint32 { // which stands for no user
			return nil, errors.New("not the number of a user")
		}
		ids = append(ids, uint32(uid))
	}
	return ids, nil
}
