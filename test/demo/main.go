// Command demo shows the plugin's main job with nothing but Go installed: an
// embedded Redis, a stub provider and a stand-in gateway that runs the
// repository's own kong.yml and the real plugin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/stage"
)

func main() {
	binary := flag.String("binary", "bin/m2m-token-enricher", "the plugin's executable")
	config := flag.String("config", "kong.yml", "the declarative configuration")
	workflow := flag.String("workflow", "", "a file or repository with a Kinde workflow")
	up := flag.Bool("up", false, "keep running until interrupted, with the workflow if there is one")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *binary, *config, *workflow, *up); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, config, workflow string, up bool) (err error) {
	d, err := start(ctx, binary, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if workflow != "" {
		if d.workflow, err = filepath.Abs(workflow); err != nil {
			return err
		}
	}
	if up {
		return d.stay(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return d.show(ctx)
}

// demo is all that runs.
type demo struct {
	redis    *miniredis.Miniredis
	provider *idptest.Provider
	api      *httptest.Server
	gateway  kongtest.Gateway
	dir      string
	binary   string
	keyFile  string
	kongYML  string // the gateway's configuration, a file
	workflow string // a file or a repository, "" for none
}

func start(ctx context.Context, binary, config string) (_ *demo, err error) {
	d := &demo{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.dir, err = os.MkdirTemp("", "m2m-demo-"); err != nil {
		return nil, err
	}
	if d.redis, err = miniredis.Run(); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	d.redis.HSet("m2m:example.kinde.com:app:"+stage.Client, "org_code", "org_8ed648340ea9")
	d.redis.HSet("m2m:example.kinde.com:org:org_8ed648340ea9", "code", "org_8ed648340ea9", "name", "Acme Inc")

	if d.provider, err = stage.StartProvider(); err != nil {
		return nil, fmt.Errorf("start the stub provider: %w", err)
	}
	d.api = httptest.NewServer(stage.API(stage.Issuer, func() string { return d.gateway.URL() + "/m2m/jwks.json" }))
	return d, d.startGateway(ctx, binary, config)
}

func (d *demo) startGateway(ctx context.Context, binary, config string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	d.binary, d.keyFile = binary, filepath.Join(d.dir, "keys.json")
	if _, err := d.keys(ctx, "generate", d.keyFile); err != nil {
		return err
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	text, err = stage.Configure(text, stage.Addresses{
		Provider: d.provider.URL(), JWKSURI: d.provider.JWKSURI(), Redis: d.redis.Addr(), KeyFile: d.keyFile, API: d.api.URL,
	})
	if err != nil {
		return err
	}
	d.kongYML = filepath.Join(d.dir, "kong.yml")
	if err := os.WriteFile(d.kongYML, text, 0o600); err != nil {
		return err
	}
	d.gateway, err = kongtest.Start(ctx, kongtest.Options{Config: text, Plugin: binary})
	if err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	return nil
}

// keys runs the plugin's own keys command.
func (d *demo) keys(ctx context.Context, args ...string) (string, error) {
	return stage.KeysCommand(ctx, d.binary, args...)
}

func (d *demo) close() error {
	var err error
	if d.gateway != nil {
		err = d.gateway.Close()
	}
	if d.api != nil {
		d.api.Close()
	}
	if d.provider != nil {
		d.provider.Close()
	}
	if d.redis != nil {
		d.redis.Close()
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}
