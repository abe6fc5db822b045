// Command kong replaces the kong command. If KONG_BIN names it, the suite runs as
// on a real Kong, with the stand-in in a process of its own.
package main

import (
	"os"

	"m2m-token-enricher/test/kongtest"
)

func main() { os.Exit(kongtest.Command(os.Args[1:], os.Stdout)) }
