package kinde

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// attempts is how often one request is made until its failure is final.
const attempts = 6

// Waits before a request is made again. Those of the backoff are 15.5 s at most
// in all.
const (
	firstBackoff = 500 * time.Millisecond // it doubles with each attempt
	maxReset     = 5 * time.Minute        // however long the tenant asks to wait
)

// persist makes a request until it succeeds, fails for good or has failed
// attempts times. The context ends it at once. Only a *failure can be tried
// again; it is no longer one in the error that is returned, so that a caller
// doesn't do it all again.
func (c *Client) persist(ctx context.Context, request func() ([]byte, error)) ([]byte, error) {
	for n := 1; ; n++ {
		text, err := request()
		f, failed := errors.AsType[*failure](err)
		switch {
		case !failed:
			return text, err
		case !f.again || ctx.Err() != nil:
			return nil, f.err
		case n == attempts:
			return nil, fmt.Errorf("after %d attempts: %w", n, f.err)
		}
		pause := f.after
		if pause == 0 {
			pause = backoff(n)
		}
		if err := c.wait(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait to try again after %w: %w", f.err, err)
		}
	}
}

// backoff returns how long to wait after the n-th attempt. A random half keeps
// clients that failed together from coming back together.
func backoff(n int) time.Duration {
	d := firstBackoff << (n - 1)
	return d/2 + rand.N(d/2)
}

// reset returns how long the tenant asks to wait, or zero if it doesn't say:
// in seconds by RateLimit-Reset, or by Retry-After (RFC 9110, section 10.2.3).
// A wait of zero would only use up the attempts, so it counts as not said.
func reset(header http.Header, now time.Time) time.Duration {
	for _, value := range []string{header.Get("RateLimit-Reset"), header.Get("Retry-After")} {
		if n, err := strconv.ParseUint(value, 10, 31); err == nil && n > 0 {
			return min(time.Duration(n)*time.Second, maxReset)
		}
	}
	if at, err := http.ParseTime(header.Get("Retry-After")); err == nil {
		return min(max(0, at.Sub(now)), maxReset)
	}
	return 0
}

// wait lets d pass, or returns the error of ctx as soon as that has ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
