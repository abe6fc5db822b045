// Package kongtest runs a gateway around the plugin for end-to-end tests, the
// demo and benchmarks. It is a real Kong Gateway when the environment variable
// KONG_BIN names one, and otherwise a stand-in that speaks Kong's plugin
// protocol and was checked against recordings of Kong 3.9.3.
package kongtest

import (
	"context"
	"os"
)

// Options describe a gateway.
type Options struct {
	// Config is the declarative configuration, a kong.yml of format 3.0.
	Config []byte
	// Plugin is the plugin's executable; its base name is the plugin's name.
	// Empty means that no plugin server runs.
	Plugin string
	// Args are flags of the plugin's process, after those that Kong gives it.
	Args []string
	// Env is the environment of the plugin's process, each KEY=VALUE. Like
	// Kong, a gateway doesn't pass its own environment on.
	Env []string
	// Workers is the number of nginx workers. Each starts its own instance of
	// every plugin configuration. Zero means 2.
	Workers int

	installed *installed // of the stand-in that the kong command starts
}

// Gateway is a running gateway. Its methods are safe for concurrent use.
type Gateway interface {
	// URL is the address of the proxy, http://127.0.0.1:port.
	URL() string
	// TLSURL is the address of the proxy over TLS, with HTTP/1.1 and HTTP/2
	// and a self-signed certificate.
	TLSURL() string
	// Reload replaces the declarative configuration. If it returns an error
	// the new one was refused and the old one still serves.
	Reload(config []byte) error
	// Log returns what was logged so far at level notice and above.
	Log() string
	// Close stops the gateway and the plugin and waits for both.
	Close() error
}

// Start runs a gateway and returns once it serves: the Kong that KONG_BIN
// names, or the stand-in. ctx bounds the start only.
func Start(ctx context.Context, o Options) (Gateway, error) {
	if bin := os.Getenv("KONG_BIN"); bin != "" {
		return startRealKong(ctx, bin, o)
	}
	s, err := StartStandIn(ctx, o)
	if err != nil { // a nil *StandIn must not become a non-nil Gateway
		return nil, err
	}
	return s, nil
}
