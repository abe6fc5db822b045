package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/redistest"
	"m2m-token-enricher/test/stage"
)

// soak is everything that runs.
type soak struct {
	options
	provider *measure.Provider
	records  *measure.Records
	gateway  *kongtest.StandIn
	keys     *stage.Keys
	keyFile  string
	metrics  string                    // where the plugin's are, host:port
	audit    string                    // the plugin's audit log
	base     []byte                    // the configuration without a generation
	expected map[string]map[string]any // claims by client id
	served   map[string]*atomic.Int64  // the generation that served last, by client id
	closers  measure.Closers

	turn        atomic.Int64
	generations generations
	outage      outage
	tally       tally
	changes     changes
}

// start starts all but the clients.
func (s *soak) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ids := append(measure.ApplicationIDs(s.applications), unknownClient)
	if s.provider, err = measure.StartProvider("RS256", ids); err != nil {
		return err
	}
	s.closers.Add(func() error { s.provider.Close(); return nil })
	if s.records, err = measure.StartRecords(ctx, s.applications, s.applications, 0); err != nil {
		return err
	}
	s.closers.Add(s.records.Close)
	if err := s.expect(ids); err != nil {
		return err
	}
	if err := s.configure(ctx); err != nil {
		return err
	}
	return s.startGateway(ctx)
}

// configure makes the key file and the configuration that is reloaded.
func (s *soak) configure(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "m2m-soak-")
	if err != nil {
		return err
	}
	s.closers.Add(func() error { return os.RemoveAll(dir) })
	s.keyFile, s.audit = filepath.Join(dir, "keys.json"), filepath.Join(dir, "audit.log")
	if _, err := stage.KeysCommand(ctx, s.binary, "generate", "--type", "ec", s.keyFile); err != nil {
		return err
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		return err
	}
	s.base, err = stage.Configure(text, stage.Addresses{
		Provider: s.provider.URL(), JWKSURI: s.provider.JWKSURI(), Redis: s.records.Address, KeyFile: s.keyFile, API: s.provider.URL(),
	})
	return err
}

func (s *soak) startGateway(ctx context.Context) error {
	port, err := redistest.FindPort()
	if err != nil {
		return err
	}
	s.metrics = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	config, err := s.generation(0)
	if err != nil {
		return err
	}
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // of traces; takes all that comes
	s.closers.Add(func() error { collector.Close(); return nil })
	s.gateway, err = kongtest.StartStandIn(ctx, kongtest.Options{
		Config: config, Plugin: s.binary,
		Args: []string{"-metrics", s.metrics, "-audit", s.audit},
		Env:  []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL},
	})
	if err != nil {
		return err
	}
	s.closers.Add(s.gateway.Close)
	s.keys = stage.NewKeys(s.gateway.URL() + "/m2m/jwks.json")
	return nil
}

// generation is the configuration whose tokens carry n. Every second one reuses them.
func (s *soak) generation(n int64) ([]byte, error) {
	return stage.Edit(s.base, func(config map[string]any) {
		claims, _ := config["claims"].([]any)
		config["claims"] = append(claims, map[string]any{"name": "generation", "value": fmt.Sprint(n)})
		if n%2 == 1 {
			config["reuse"] = map[string]any{"enabled": true, "shared": true, "secret": "the soak test's secret"}
		}
	})
}
