package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/jws"
)

// keys runs the commands on a key file.
func keys(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "generate" {
		fmt.Fprintf(stderr, "usage: %s keys generate [--type rsa|ec|ed25519] FILE\n", plugin.Name)
		return 2
	}
	flags := flag.NewFlagSet("keys generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	kind := flags.String("type", "rsa", "rsa (RS256), ec (ES256) or ed25519 (EdDSA)")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s keys generate [--type rsa|ec|ed25519] FILE\n", plugin.Name)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	kid, err := generate(*kind, flags.Arg(0))
	if err != nil {
		return done(fmt.Errorf("keys generate: %w", err), stderr)
	}
	fmt.Fprintf(stdout, "%s: new signing key %s; it must be readable by the user that Kong runs as\n", flags.Arg(0), kid)
	return 0
}

// generate writes a new ring to path, which must not exist, and returns the
// kid of its key. A file that couldn't be written whole is removed.
func generate(kind, path string) (kid string, err error) {
	text, err := jws.Generate(kind)
	if err != nil {
		return "", err
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err // it names the path
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return ring.Keys()[0].ID, nil
}
