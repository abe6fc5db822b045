package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"m2m-token-enricher/test/measure"
)

// load sends requests from next over n connections for span, one after the other
// on each. It returns the latencies, sorted.
func load(ctx context.Context, address string, n int, span time.Duration, next func() []byte) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var (
		mu      sync.Mutex
		all     []time.Duration
		failure error
		clients sync.WaitGroup
	)
	for range n {
		clients.Go(func() {
			own, err := repeat(ctx, &measure.Client{Address: address}, next)
			if err != nil {
				cancel() // one wrong answer makes the figures wrong
			}
			mu.Lock()
			defer mu.Unlock()
			all, failure = append(all, own...), errors.Join(failure, err)
		})
	}
	clients.Wait()
	if failure == nil && len(all) == 0 {
		failure = errors.New("no answer in time")
	}
	slices.Sort(all)
	return all, failure
}

// repeat asks until ctx ends.
func repeat(ctx context.Context, c *measure.Client, next func() []byte) (took []time.Duration, err error) {
	defer func() { err = errors.Join(err, c.Close()) }()
	for ctx.Err() == nil {
		begin := time.Now()
		if err := c.Ask(next(), io.Discard); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// always returns a function that returns the same request each time.
func always(request []byte) func() []byte { return func() []byte { return request } }

// crowd sends the same request over n connections at once, once each.
func crowd(address string, n int, request []byte) error {
	var mu sync.Mutex
	var failure error
	var clients sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		clients.Go(func() {
			c := &measure.Client{Address: address}
			<-begin
			err := errors.Join(c.Ask(request, io.Discard), c.Close())
			mu.Lock()
			defer mu.Unlock()
			failure = cmp.Or(failure, err)
		})
	}
	close(begin)
	clients.Wait()
	return failure
}
