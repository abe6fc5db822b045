// Package await waits for events in other goroutines or processes: it checks
// again and again.
package await

import (
	"context"
	"errors"
	"testing"
	"time"
)

// How long tests wait, and how often they check.
const (
	patience = 20 * time.Second
	pause    = 10 * time.Millisecond
)

// Success returns when try succeeds, or with its last error when ctx ends.
func Success(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// Nil waits until try returns nil, and ends the test with its last error if that
// takes too long.
func Nil(tb testing.TB, try func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := Success(ctx, try); err != nil {
		tb.Fatal(err)
	}
}

// True waits until is returns true, and ends the test if that takes too long.
// what names the thing that is missing.
func True(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	Nil(tb, func() error {
		if !is() {
			return errors.New("no " + what)
		}
		return nil
	})
}
