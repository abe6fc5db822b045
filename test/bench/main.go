// Command bench measures the way of a token through the gateway: tokens per
// second and latencies at several numbers of connections, with the plugin and
// without it, in one run and in turns, so that the ratios hold on a noisy
// machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/kongtest"
	"m2m-token-enricher/test/stage"
)

const client = "299627bd8bfa493f8b17e6aec8ebfb86"

// route is one configuration of the gateway.
type route struct {
	name    string
	gateway kongtest.Gateway
}

// cell is one route at one number of connections.
type cell struct {
	rates, p50s, p99s []float64 // tokens per second, ms, ms; one of each run
}

func main() {
	binary := flag.String("binary", "bin/m2m-token-enricher", "the plugin's executable")
	config := flag.String("config", "kong.yml", "the declarative configuration")
	span := flag.Duration("time", 2*time.Second, "how long each cell is measured in each round")
	rounds := flag.Int("rounds", 3, "how often each cell is measured; the median counts")
	flag.Parse()
	if err := run(*binary, *config, *span, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary, config string, span time.Duration, rounds int) (err error) {
	b, err := start(binary, config)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	connections := []int{1, 8, 64}
	cells := make([][]cell, len(b.routes))
	for i := range cells {
		cells[i] = make([]cell, len(connections))
	}
	for range rounds {
		for c, n := range connections {
			for i, r := range b.routes {
				if err := cells[i][c].measure(r.gateway.URL(), n, span); err != nil {
					return fmt.Errorf("%s at %d connections: %w", r.name, n, err)
				}
			}
		}
	}
	b.print(connections, cells)
	return nil
}

// bench is everything that runs.
type bench struct {
	redis    *miniredis.Miniredis
	provider *idptest.Provider
	routes   []route
	dir      string
}

func start(binary, config string) (*bench, error) {
	b := &bench{}
	var err error
	if b.dir, err = os.MkdirTemp("", "m2m-bench-"); err != nil {
		return b, err
	}
	if b.redis, err = miniredis.Run(); err != nil {
		return b, err
	}
	b.redis.HSet("m2m:example.kinde.com:app:"+client, "org_code", "org_8ed648340ea9")
	b.redis.HSet("m2m:example.kinde.com:org:org_8ed648340ea9", "code", "org_8ed648340ea9", "name", "Acme Inc")
	if b.provider, err = idptest.Start(stage.Issuer); err != nil {
		return b, err
	}
	if err := b.fixAnswer(); err != nil {
		return b, err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return b, err
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return b, err
	}
	for _, r := range []struct{ name, key string }{{"without the plugin", ""}, {"enriched, ES256", "ec"}, {"enriched, RS256", "rsa"}} {
		if err := b.addRoute(r.name, r.key, binary, text); err != nil {
			return b, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return b, nil
}

// fixAnswer makes the provider answer with one token, so that its own
// signatures aren't measured.
func (b *bench) fixAnswer() error {
	token, err := b.provider.Sign(b.provider.Claims(client, []string{"https://api.example.com"}, []string{"read"}))
	if err != nil {
		return err
	}
	body := fmt.Appendf(nil, `{"access_token":%q,"expires_in":86399,"scope":"read","token_type":"bearer"}`, token)
	b.provider.Misbehave(idptest.Fault{Answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}})
	return nil
}

// addRoute starts a gateway; without a kind of key it has no plugin.
func (b *bench) addRoute(name, kind, binary string, config []byte) error {
	keyFile := filepath.Join(b.dir, kind+".json")
	text, err := stage.Configure(config, stage.Addresses{
		Provider: b.provider.URL(), JWKSURI: b.provider.JWKSURI(), Redis: b.redis.Addr(), KeyFile: keyFile, API: b.provider.URL(),
	})
	if err != nil {
		return err
	}
	if kind == "" {
		before, rest, _ := strings.Cut(string(text), "  plugins:")
		_, after, _ := strings.Cut(rest, "\n\n")
		text, binary = []byte(before+"\n"+after), ""
	} else if out, err := exec.Command(binary, "keys", "generate", "--type", kind, keyFile).CombinedOutput(); err != nil {
		return fmt.Errorf("generate a key: %w: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	g, err := kongtest.Start(ctx, kongtest.Options{Config: text, Plugin: binary})
	if err != nil {
		return err
	}
	b.routes = append(b.routes, route{name, g})
	return nil
}

func (b *bench) close() error {
	var errs []error
	for _, r := range b.routes {
		errs = append(errs, r.gateway.Close())
	}
	if b.provider != nil {
		b.provider.Close()
	}
	if b.redis != nil {
		b.redis.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// measure asks for tokens over n connections, each one request after the
// other.
func (c *cell) measure(base string, n int, span time.Duration) error {
	transport := &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: n, DisableCompression: true}
	defer transport.CloseIdleConnections()
	asker := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	var (
		mu        sync.Mutex
		latencies []float64
		failure   error
		askers    sync.WaitGroup
	)
	begin := time.Now()
	for range n {
		askers.Go(func() {
			var own []float64
			var err error
			for time.Since(begin) < span && err == nil {
				at := time.Now()
				err = ask(asker, base)
				own = append(own, float64(time.Since(at))/float64(time.Millisecond))
			}
			mu.Lock()
			defer mu.Unlock()
			latencies, failure = append(latencies, own...), errors.Join(failure, err)
		})
	}
	askers.Wait()
	if failure != nil {
		return failure
	}
	slices.Sort(latencies)
	c.rates = append(c.rates, float64(len(latencies))/time.Since(begin).Seconds())
	c.p50s = append(c.p50s, latencies[len(latencies)/2])
	c.p99s = append(c.p99s, latencies[len(latencies)*99/100])
	return nil
}

func ask(c *http.Client, base string) error {
	const form = "grant_type=client_credentials&client_id=" + client + "&client_secret=s&audience=https%3A%2F%2Fapi.example.com"
	resp, err := c.Post(base+"/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}

func (b *bench) print(connections []int, cells [][]cell) {
	fmt.Println("| route | connections | tokens/s | of the bare route | p50 ms | p99 ms |")
	fmt.Println("|---|--:|--:|--:|--:|--:|")
	for i, r := range b.routes {
		for c, n := range connections {
			cell, bare := cells[i][c], cells[0][c]
			fmt.Printf("| %s | %d | %.0f | %.2f | %.2f | %.2f |\n", r.name, n, median(cell.rates),
				median(cell.rates)/median(bare.rates), median(cell.p50s), median(cell.p99s))
		}
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
