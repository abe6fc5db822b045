package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"m2m-token-enricher/test/stage"
)

// stay keeps the gateway running until ctx ends, and prints what it logs.
func (d *demo) stay(ctx context.Context) error {
	if d.workflow != "" {
		checked, err := d.useWorkflow(ctx)
		if err != nil {
			return err
		}
		play("workflow check "+d.workflow, checked)
	}
	logged := len(d.gateway.Log())
	d.explain()
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			log := d.gateway.Log()
			fmt.Print(log[min(logged, len(log)):])
			logged = len(log)
		}
	}
}

// explain prints what to try while the demo runs.
func (d *demo) explain() {
	fmt.Printf("The gateway listens at %s until you press Ctrl-C.\n\n", d.gateway.URL())
	fmt.Printf("An enriched token, and what is in it:\n\n   $ %s |\n       %s inspect -\n\n", curl(d.gateway.URL(), stage.Client, "https://api.example.com"), d.binary)
	if d.workflow != "" {
		fmt.Print("What the workflow reads, prints and sets:\n\n")
		d.suggest("workflow run -c %s --client %s %s", d.kongYML, stage.Client, quoted(d.workflow))
	}
	fmt.Printf("The published keys, a management token, a refused application:\n\n   $ curl -s %s/m2m/jwks.json\n\n", d.gateway.URL())
	printCurl(d.gateway.URL(), stage.Client, stage.Issuer+"/api")
	printCurl(d.gateway.URL(), stage.Unknown, "https://api.example.com")
	fmt.Print("The records are in an embedded Redis. These make the refused application known after 5 s, and add a property after 30 s:\n\n")
	d.suggest("app set -c %s %s org_code=org_8ed648340ea9", d.kongYML, stage.Unknown)
	d.suggest("org set -c %s org_8ed648340ea9 plan=gold", d.kongYML)
	fmt.Print("What the gateway logs:\n\n")
}

// quoted returns path as one word of a shell.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// suggest prints a command of the plugin's executable.
func (d *demo) suggest(format string, args ...any) {
	fmt.Printf("   $ %s %s\n\n", d.binary, fmt.Sprintf(format, args...))
}
