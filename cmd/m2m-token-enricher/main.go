// Command m2m-token-enricher is the plugin server that Kong starts, and the
// commands with which you operate it.
package main

import (
	"io"
	"log"
	"os"

	"github.com/urfave/cli/v3"

	_ "m2m-token-enricher/plugin/jws/pkcs11" // keys in a hardware token
	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

func main() {
	log.SetOutput(visible.Log(os.Stderr)) // also for net/http
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code of the process.
func run(args []string, stdout, stderr io.Writer) int {
	root := server(stdout)
	root.Commands = commands(stdout, stderr)
	return execute(root, args, stdout, stderr)
}

// commands returns the operators' commands.
func commands(stdout, stderr io.Writer) []*cli.Command {
	return []*cli.Command{
		keys(stdout),
		check(stdout),
		onRecords(schema.Application, stdout, stderr),
		onRecords(schema.Organization, stdout, stderr),
		onRecords(schema.User, stdout, stderr),
		explain(stdout),
		inspect(stdout),
		onWorkflow(stdout, stderr),
		onReuse(stdout, stderr),
		onSync(stdout, stderr),
	}
}
