package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/redistest"
)

// providerWorld is a gateway in front of a sample's provider.
type providerWorld struct {
	world
	online   *internet
	sample   *providerSample
	declared []byte // the kong.yml
	issuer   string
}

// configure publishes the sample and writes its records.
func (p *providerWorld) configure(common, config map[string]any) {
	p.Helper()
	config = maps.Clone(config)
	for name, value := range common {
		if _, ok := config[name]; !ok {
			config[name] = value
		}
	}
	p.issuer = config["issuer"].(string)
	p.sample.publish(p.T, p.online)
	redisHost, port, err := net.SplitHostPort(p.redis.Addr())
	if err != nil {
		p.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		p.Fatal(err)
	}
	config["redis"] = map[string]any{
		"host": redisHost, "port": number, "username": redistest.Reader, "password": redistest.ReaderPassword, "timeout": 5_000,
	}
	config["signing"] = map[string]any{"jwks_file": p.keyFile}
	config["timeout"] = 10_000 // also for a busy machine
	parsed := p.parse(config)
	for key, properties := range p.sample.Records {
		if err := p.redis.Client().HSet(context.Background(), parsed.Prefix+key, properties).Err(); err != nil {
			p.Fatal(err)
		}
	}
	paths := []string{pathOnly("/m2m/jwks.json")}
	for _, x := range p.sample.Exchanges {
		if path := pathOnly(x.Request.Path); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	p.declared, err = yaml.Marshal(map[string]any{"_format_version": "3.0", "services": []any{map[string]any{
		"name": "m2m-token", "url": p.online.endpoint.URL,
		"routes":  []any{map[string]any{"name": "m2m", "paths": paths, "strip_path": false}},
		"plugins": []any{map[string]any{"name": filepath.Base(binary), "config": config}},
	}}})
	if err != nil {
		p.Fatal(err)
	}
}

// parse returns the configuration as the plugin reads it.
func (p *providerWorld) parse(config map[string]any) *schema.Config {
	p.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		p.Fatal(err)
	}
	var given map[string]any // with the shapes that JSON has
	if err := json.Unmarshal(text, &given); err != nil {
		p.Fatal(err)
	}
	parsed, err := schema.Parse(given)
	if err != nil {
		p.Fatal(err)
	}
	return parsed
}

// publish publishes the keys and the discovery document.
func (s *providerSample) publish(t *testing.T, online *internet) {
	t.Helper()
	online.publish(s.Keys.URL, s.jwks(t))
	if s.Discovery.URL != "" {
		online.publish(s.Discovery.URL, s.Discovery.Document)
	}
}

func (p *providerWorld) start() {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	p.gateway, err = kongtest.Start(ctx, kongtest.Options{Config: p.declared, Plugin: binary, Env: p.env})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		if err := p.gateway.Close(); err != nil {
			p.Errorf("close the gateway: %v", err)
		}
		if p.Failed() {
			p.Logf("the gateway's log:\n%s", p.gateway.Log())
		}
	})
}
