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

// trail counts the tokens in the audit log. Each has a line, or is counted in a line
// about missing ones.
type trail struct{ tokens, reused int64 }

// audited closes the gateway, which writes the rest of the audit log, and counts
// the tokens in it.
func (s *soak) audited() (t trail, err error) {
	if err := s.gateway.Close(); err != nil {
		return t, err
	}
	files, err := filepath.Glob(s.audit + "*")
	if err != nil {
		return t, err
	}
	for _, file := range files {
		if err := t.add(file); err != nil {
			return t, fmt.Errorf("%s: %w", file, err)
		}
	}
	return t, nil
}

func (t *trail) add(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			Client string
			Missed int64
			Reused bool
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return err
		}
		if line.Client == "" && line.Missed == 0 {
			return errors.New("the line is about no token")
		}
		t.tokens += max(1, line.Missed)
		if line.Reused {
			t.reused++
		}
	}
	return lines.Err()
}
