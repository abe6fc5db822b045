package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// openInput opens a file, or standard input for "-".
func openInput(name string) (*os.File, error) {
	if name == "-" {
		return os.Stdin, nil
	}
	return os.Open(name) // its error names the file
}

// readToken reads a token from a file, which is safer than a command line.
func readToken(name string) (string, error) {
	file, err := openInput(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
