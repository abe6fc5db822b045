package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"m2m-token-enricher/test/measure"
)

// sample is the size of the plugin's process at one time.
type sample struct {
	at                float64 // seconds since the load began
	resident          float64 // MiB
	files, goroutines float64
}

// watch takes a sample each second until ctx ends.
func (s *soak) watch(ctx context.Context) ([]sample, error) {
	begun, pid := time.Now(), s.gateway.PluginPID()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var samples []sample
	for {
		select {
		case <-ctx.Done():
			return samples, nil
		case <-tick.C:
		}
		if s.gateway.PluginPID() != pid {
			return nil, errors.New("the plugin's process ended")
		}
		one, err := s.look(ctx, pid)
		if ctx.Err() != nil {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
		one.at = time.Since(begun).Seconds()
		samples = append(samples, one)
	}
}

func (s *soak) look(ctx context.Context, pid int) (one sample, err error) {
	if one.resident, err = measure.ResidentSize(pid); err != nil {
		return one, err
	}
	files, err := measure.OpenFiles(pid)
	if err != nil {
		return one, err
	}
	one.files = float64(files)
	one.goroutines, err = s.scrape(ctx, "go_goroutines")
	return one, err
}

// scrape returns the value of a metric without labels.
func (s *soak) scrape(ctx context.Context, name string) (value float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			_, err := fmt.Sscan(text, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("the scrape has no %s", name)
}
