package records

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// TestWritesThroughProxy: a call of the script has the keys of one record, unless
// Redis itself says that it is one server. A proxy sends a call to the server of its
// first key.
func TestWritesThroughProxy(t *testing.T) {
	nothing := func([]string) (string, bool) { return "", false }
	modes := func(mode string) redistest.Handler {
		return func(command []string) (string, bool) {
			return fmt.Sprintf("*2\r\n$4\r\nmode\r\n$%d\r\n%s\r\n", len(mode), mode), strings.EqualFold(command[0], "hello")
		}
	}
	for name, tt := range map[string]struct {
		handler redistest.Handler
		keys    string // of each call: a record and its timestamp, or all records
	}{
		"Redis itself": {nothing, "6"},
		"twemproxy":    {redistest.Twemproxy, "2"},
		"Envoy":        {redistest.Envoy, "2"},
		"a cluster":    {modes("cluster"), "2"},
		"no mode":      {modes(""), "2"},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := redistest.StartProxy(t, server.Addr())
			var mu sync.Mutex
			calls := map[string]int{}
			proxy.Handle(func(command []string) (string, bool) {
				if name := strings.ToLower(command[0]); name == "evalsha" || name == "eval" {
					mu.Lock()
					calls[command[2]]++
					mu.Unlock()
				}
				return tt.handler(command)
			})
			s := open(t, redistest.Config(proxy.Port()), prefix)
			var entries []Entry
			want := map[string]schema.Record{}
			for _, id := range []string{"a", "b", "c"} {
				want[id] = schema.Record{"region": id}
				entries = append(entries, Entry{id, want[id]})
			}
			if _, err := s.Put(t.Context(), schema.Application, entries, Write); err != nil {
				t.Fatal(err)
			}
			expectEverything(t, server.Client(), want)
			if len(calls) != 1 || calls[tt.keys] == 0 {
				t.Errorf("got calls by their number of keys %v, want all with %s", calls, tt.keys)
			}
			if _, err := s.Delete(t.Context(), schema.Application, []string{"a", "b", "c"}, Write); err != nil {
				t.Fatal(err)
			}
			expectEverything(t, server.Client(), nil)
		})
	}
}

// TestWhatAProxyLacks: what needs SCAN or TIME names it in its error.
func TestWhatAProxyLacks(t *testing.T) {
	server := redistest.Start(t)
	for name, handler := range map[string]redistest.Handler{"twemproxy": redistest.Twemproxy, "Envoy": redistest.Envoy} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.StartProxy(t, server.Addr())
			proxy.Handle(handler)
			s := open(t, redistest.Config(proxy.Port()), prefix)
			for command, err := range map[string]error{
				"SCAN": s.IDs(t.Context(), schema.Application, "*", func([]string) bool { return true }),
				"TIME": func() error { _, err := s.Now(t.Context()); return err }(),
			} {
				if err == nil || !strings.Contains(strings.ToUpper(err.Error()), command) || strings.HasSuffix(err.Error(), "EOF") {
					t.Errorf("got %v, want an error that names %s", err, command)
				}
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: got %v, want nil", err)
			}
		})
	}
}
