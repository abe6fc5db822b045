// Command stub runs beside the real Kong of deploy/compose.yaml: the stub provider
// and an API that trusts the gateway's keys, at fixed addresses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"m2m-token-enricher/test/stage"
)

func main() {
	provider := flag.String("provider", "127.0.0.1:9001", "address of the provider")
	api := flag.String("api", "127.0.0.1:9002", "address of the API")
	jwks := flag.String("jwks", "http://127.0.0.1:8000/m2m/jwks.json", "the gateway's keys, which the API trusts")
	check := flag.Bool("check", false, "only check that the provider at its address serves")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *check {
		err = checkProvider(ctx, *provider)
	} else {
		err = run(ctx, *provider, *api, *jwks)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(1)
	}
}

func checkProvider(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/.well-known/jwks", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answers %d", resp.StatusCode)
	}
	return nil
}

func run(ctx context.Context, provider, api, jwks string) error {
	p, err := stage.StartProvider()
	if err != nil {
		return err
	}
	defer p.Close()
	target, err := url.Parse(p.URL())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	for address, handler := range map[string]http.Handler{
		provider: httputil.NewSingleHostReverseProxy(target), // the provider itself takes any free port
		api:      stage.API(stage.Issuer, func() string { return jwks }),
	} {
		go func() {
			ended <- serve(ctx, address, handler)
			cancel() // neither is of use alone
		}()
	}
	return errors.Join(<-ended, <-ended)
}

// serve serves until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
