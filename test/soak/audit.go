package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// audited ends the gateway, so that all is written, and returns how many tokens
// the audit log has: a line each, or in a line that says how many are missing.
func (s *soak) audited() (tokens int64, err error) {
	if err := s.gateway.Close(); err != nil {
		return 0, err
	}
	files, err := filepath.Glob(s.audit + "*")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		n, err := auditedIn(file)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		tokens += n
	}
	return tokens, nil
}

func auditedIn(file string) (tokens int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			Client string
			Missed int64
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return 0, err
		}
		if line.Client == "" && line.Missed == 0 {
			return 0, errors.New("a line of no token")
		}
		tokens += max(1, line.Missed)
	}
	return tokens, lines.Err()
}
