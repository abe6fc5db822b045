// Command m2m-token-enricher is the plugin server that Kong starts, and the
// commands of those who operate it.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"math"
	"os"
	"os/signal"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/visible"
)

const about = `m2m-token-enricher is a plugin of Kong Gateway: it adds claims to machine-to-machine
tokens on their way from the identity provider to the client and signs them with
the gateway's keys. Kong starts it; in kong.conf:

  plugins = bundled,m2m-token-enricher
  pluginserver_names = m2m_token_enricher
  pluginserver_m2m_token_enricher_socket = /usr/local/kong/m2m-token-enricher.socket
  pluginserver_m2m_token_enricher_start_cmd = /usr/local/bin/m2m-token-enricher -kong-prefix /usr/local/kong
  pluginserver_m2m_token_enricher_query_cmd = /usr/local/bin/m2m-token-enricher -dump

For operators:

  m2m-token-enricher keys generate [--type rsa|ec|ed25519] FILE
        write a new private JWK set; an existing file is never overwritten
  m2m-token-enricher keys list|add|promote|retire|remove|rotate|public FILE [KID]
        lead its keys through a rotation; "keys" alone prints each one's flags
  m2m-token-enricher check KONG_YML
        try every block of the plugin: its rules, keys, provider and Redis
  m2m-token-enricher app|org|user get|set|unset|delete|list|import|export -c KONG_YML …
        read and write the records in Redis; "app" alone prints each one's flags
  m2m-token-enricher explain -c KONG_YML CLIENT_ID | --token FILE
        tell what would become of a token, and why
  m2m-token-enricher inspect -c KONG_YML --url JWKS_URL FILE
        tell who signed a token, and whether an API would accept it
  m2m-token-enricher sync kinde|webhook|file -c KONG_YML …
        make the records what a Kinde tenant or a directory says

Flags:
`

func main() {
	log.SetOutput(visible.Log(os.Stderr)) // also for net/http
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the process's exit code: 0 done, 1 a mistake was found or
// something failed, 2 the command line is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "keys":
			return keys(args[1:], stdout, stderr)
		case "check":
			return check(args[1:], stdout, stderr)
		case "app", "org", "user":
			return onRecords(args[0], args[1:], stdout, stderr)
		case "explain":
			return explain(args[1:], stdout, stderr)
		case "inspect":
			return inspect(args[1:], stdout, stderr)
		case "sync":
			return onSync(args[1:], stdout, stderr)
		}
	}
	return serve(args, stdout, stderr)
}

// serve follows the flags that Kong gives.
func serve(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(plugin.Name, flag.ContinueOnError)
	var o plugin.Options
	var megabytes int64
	flags.StringVar(&o.Prefix, "kong-prefix", "/usr/local/kong", "Kong's prefix, where the socket is made")
	flags.StringVar(&o.Metrics, "metrics", "", "Serve Prometheus metrics at this host:port or Unix socket: /metrics, /healthz, /readyz")
	flags.Func("socket-user", "Let this `user`, by number or name, connect to the socket, too: it can have the key sign. May be repeated", addUser(&o.SocketUsers))
	flags.Func("metrics-user", "Let this `user`, by number or name, connect to the metrics' Unix socket, too. May be repeated", addUser(&o.MetricsUsers))
	flags.StringVar(&o.Audit.File, "audit", "", "Write a line of JSON for each token that is issued to this file")
	flags.Int64Var(&megabytes, "audit-size", 100, "Rotate the audit log before it has more than so many MiB")
	flags.IntVar(&o.Audit.Keep, "audit-keep", 10, "Keep so many rotated files of the audit log, from 1 on")
	dump := flags.Bool("dump", false, "Print what Kong must know of the plugin")
	version := flags.Bool("version", false, "Print the version")
	help := flags.Bool("help", false, "Print this")
	if err := parse(flags, args, func() { usage(flags, stderr) }, stderr); err != nil {
		return 2
	}
	switch {
	case *help:
		usage(flags, stdout)
		return 0
	case *version:
		jws.Accelerate() // to say what would sign
		visible.Fprintf(stdout, "%s %s (%s), signatures by %s\n", plugin.Name, plugin.Version, runtime.Version(), jws.Signatures())
		return 0
	case *dump:
		return done(plugin.Dump(stdout), stderr)
	case flags.NArg() > 0:
		visible.Fprintf(stderr, "%s: unknown command %q; see -help\n", plugin.Name, flags.Arg(0))
		return 2
	case flags.NFlag() == 0:
		usage(flags, stderr)
		return 2
	case megabytes < 1 || megabytes > 1<<20 || o.Audit.Keep < 1:
		visible.Fprintf(stderr, "%s: -audit-size must be from 1 to %d, -audit-keep 1 or more\n", plugin.Name, 1<<20)
		return 2
	}
	o.Audit.MaxSize = megabytes << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return done(plugin.Serve(ctx, o), stderr)
}

// addUser returns what adds a user to list. A text of digits is a number, also
// where a user has that name.
func addUser(list *[]uint32) func(text string) error {
	return func(text string) error {
		number := text
		if strings.Trim(text, "0123456789") != "" {
			known, err := user.Lookup(text)
			if err != nil {
				return err
			}
			number = known.Uid
		}
		uid, err := strconv.ParseUint(number, 10, 32)
		if err != nil || uid == math.MaxUint32 { // which stands for no user
			return errors.New("not the number of a user")
		}
		*list = append(*list, uint32(uid))
		return nil
	}
}

func usage(flags *flag.FlagSet, w io.Writer) {
	_, _ = io.WriteString(w, about)
	flags.SetOutput(w)
	flags.PrintDefaults()
}

// done reports err, if there is one, and returns the exit code.
func done(err error, stderr io.Writer) int {
	if err != nil {
		visible.Fprintf(stderr, "%s: %v\n", plugin.Name, err)
		return 1
	}
	return 0
}
