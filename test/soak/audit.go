package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// moveAudit moves the audit log away, as logrotate does.
func (s *soak) moveAudit(context.Context) error {
	return os.Rename(s.audit, fmt.Sprintf("%s-%d", s.audit, time.Now().Unix()))
}

// audited closes the gateway, which writes the rest of the audit log, and counts
// the tokens in it. Each has a line, or is counted in a line about missing ones.
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
			return 0, errors.New("the line is about no token")
		}
		tokens += max(1, line.Missed)
	}
	return tokens, lines.Err()
}
