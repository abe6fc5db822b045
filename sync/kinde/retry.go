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

// attempts is how often a request is made until its failure is final.
const attempts = 6

// Waits before a request is made again. The backoff takes at most 15.5 s in all.
const (
	firstBackoff = 500 * time.Millisecond // it doubles with each attempt
	maxReset     = 5 * time.Minute        // even if the tenant asks for more
)

// retry makes a request until it succeeds, fails for good, has failed attempts
// times, or ctx ends. Only a *failure is tried again. The error that it returns
// isn't one, because a caller must not retry it, too.
func (c *Client) retry(ctx context.Context, request func() ([]byte, error)) ([]byte, error) {
	for n := 1; ; n++ {
		text, err := request()
		f, failed := errors.AsType[*failure](err)
		switch {
		case !failed:
			return text, err
		case !f.retry || ctx.Err() != nil:
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

// backoff returns how long to wait after the n-th attempt. Half of it is random,
// so clients that failed together don't return together.
func backoff(n int) time.Duration {
	d := firstBackoff << (n - 1)
	return d/2 + rand.N(d/2)
}

// reset returns how long the tenant asks to wait, in RateLimit-Reset or in
// Retry-After (RFC 9110, section 10.2.3), or zero for the backoff. A wait of zero
// would only use up the attempts.
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

// wait waits for d, or returns the error of ctx as soon as it ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
