package main

import (
	"strings"
	"testing"
)

func TestSimulation(t *testing.T) {
	const log = `=== RUN   TestFleetHour
    fleethour_test.go:58: 100 clients that ask every second for an hour on 10 gateways: 360000 requests, 1212 calls to the provider, 1.010 × clients × time / max_age
    fleethour_test.go:92: an outage of an hour (429 with Retry-After): 900 requests, 340 calls to the provider, 2 failed
    fleethour_test.go:92: an outage of an hour (silence of the token endpoint only): 900 requests, 827 calls to the provider, 827 failed
`
	s, err := readSimulation(log)
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []string
	for _, v := range s.verdicts() {
		verdicts = append(verdicts, v.String())
	}
	const want = "reuse, an hour of a fleet, calls to the provider × max_age / (clients × time): 1.01 ×, at most 1.05 ×: met\n" +
		"reuse, an outage of an hour (429 with Retry-After), failed requests: 2, at most 0: missed"
	if got := strings.Join(verdicts, "\n"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, part := range []string{"1212 calls", "| 429 with Retry-After | 900 | 340 | 2 |"} {
		if text := s.text(); !strings.Contains(text, part) {
			t.Errorf("got %s, want %s in it", text, part)
		}
	}
	if _, err := readSimulation("ok"); err == nil {
		t.Error("got no error for a log without results")
	}
}
