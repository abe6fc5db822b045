package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"time"

	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// stand is all that one part runs.
type stand struct {
	bench   *bench
	closers measure.Closers
}

// organizations is how many the applications belong to.
const organizations = 100

// setting describes one gateway.
type setting struct {
	binary   string // the plugin's; empty: no plugin
	key      string // the kind of the key that signs
	provider *measure.Provider
	records  *measure.Records
	config   map[string]any // fields of the plugin's, beside those in kong.yml
	args     []string       // flags of the plugin's process
	env      []string       // its environment, each KEY=VALUE
}

func (s *stand) provider(algorithm string, ids []string) (*measure.Provider, error) {
	p, err := measure.StartProvider(algorithm, ids)
	if err == nil {
		s.closers.Add(func() error { p.Close(); return nil })
	}
	return p, err
}

func (s *stand) records(ctx context.Context, n, extra int) (*measure.Records, error) {
	r, err := measure.StartRecords(ctx, n, organizations, extra)
	if err == nil {
		s.closers.Add(r.Close)
	}
	return r, err
}

// gateway starts a stand-in. Kong itself isn't measured: it hides the process
// of its plugin.
func (s *stand) gateway(ctx context.Context, set setting) (*kongtest.StandIn, error) {
	config, err := s.configure(ctx, set)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, err := kongtest.StartStandIn(ctx, kongtest.Options{Config: config, Plugin: set.binary, Args: set.args, Env: set.env})
	if err != nil {
		return nil, err
	}
	s.closers.Add(g.Close)
	return g, nil
}

// keyFile makes a key file for one gateway. The baseline reads the same format.
func (s *stand) keyFile(ctx context.Context, kind string) (string, error) {
	dir, err := os.MkdirTemp(s.bench.dir, "key-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "keys.json")
	_, err = stage.KeysCommand(ctx, s.bench.binary, "generate", "--type", kind, path)
	return path, err
}

// configure is kong.yml for a setting.
func (s *stand) configure(ctx context.Context, set setting) ([]byte, error) {
	where := stage.Addresses{
		Provider: set.provider.URL(), JWKSURI: set.provider.JWKSURI(), Redis: set.records.Address,
		KeyFile: "/none", API: set.provider.URL(),
	}
	if set.binary != "" {
		var err error
		if where.KeyFile, err = s.keyFile(ctx, set.key); err != nil {
			return nil, err
		}
	}
	text, err := stage.Configure(s.bench.kongYML, where)
	if err != nil {
		return nil, err
	}
	if set.binary == "" {
		return stage.Edit(text, nil)
	}
	return stage.Edit(text, func(config map[string]any) { maps.Copy(config, set.config) })
}
