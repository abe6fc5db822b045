package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/stage"
)

// stand is what one part keeps running.
type stand struct {
	bench   *bench
	closers []func() error // from the last to the first
}

// setting is one configuration of the gateway.
type setting struct {
	binary   string // the plugin's; empty: no plugin
	key      string // the kind of the key that signs
	provider *provider
	records  *records
	config   map[string]any // fields of the plugin's, beside those in kong.yml
}

func (s *stand) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *stand) close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (s *stand) provider(algorithm string, ids []string) (*provider, error) {
	p, err := startProvider(algorithm, ids)
	if err == nil {
		s.onClose(func() error { p.Close(); return nil })
	}
	return p, err
}

func (s *stand) records(ctx context.Context, n, extra int) (*records, error) {
	r, err := startRecords(ctx, n, extra)
	if err == nil {
		s.onClose(r.close)
	}
	return r, err
}

// gateway starts a stand-in. Kong itself isn't measured: it hides the process
// of its plugin.
func (s *stand) gateway(ctx context.Context, set setting) (*kongtest.StandIn, error) {
	config, err := s.configure(set)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, err := kongtest.StartStandIn(ctx, kongtest.Options{Config: config, Plugin: set.binary})
	if err != nil {
		return nil, err
	}
	s.onClose(g.Close)
	return g, nil
}

// keyFile makes a key for one gateway. The state before reads the same format.
func (s *stand) keyFile(kind string) (string, error) {
	dir, err := os.MkdirTemp(s.bench.dir, "key-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "keys.json")
	if out, err := exec.Command(s.bench.binary, "keys", "generate", "--type", kind, path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("generate a key: %w: %s", err, out)
	}
	return path, nil
}

// configure is kong.yml for a setting.
func (s *stand) configure(set setting) ([]byte, error) {
	where := stage.Addresses{
		Provider: set.provider.URL(), JWKSURI: set.provider.JWKSURI(), Redis: set.records.address,
		KeyFile: "/none", API: set.provider.URL(),
	}
	if set.binary != "" {
		var err error
		if where.KeyFile, err = s.keyFile(set.key); err != nil {
			return nil, err
		}
	}
	text, err := stage.Configure(s.bench.kongYML, where)
	if err != nil {
		return nil, err
	}
	return adjust(text, set)
}

// adjust takes the plugin out of a configuration if the setting has none, and
// otherwise changes the plugin's fields.
func adjust(text []byte, set setting) ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	services, _ := document["services"].([]any)
	for _, entry := range services {
		service, _ := entry.(map[string]any)
		if set.binary == "" {
			delete(service, "plugins")
		}
		plugins, _ := service["plugins"].([]any)
		for _, entry := range plugins {
			plugin, _ := entry.(map[string]any)
			config, ok := plugin["config"].(map[string]any)
			if !ok {
				return nil, errors.New("the plugin in the configuration has no config")
			}
			maps.Copy(config, set.config)
		}
	}
	return yaml.Marshal(document)
}
