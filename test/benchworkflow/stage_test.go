package benchworkflow

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
	teststage "m2m-token-enricher/test/stage"
)

const (
	client       = "299627bd8bfa493f8b17e6aec8ebfb86"
	organization = "org_8ed648340ea9"
)

// stage is what gateways need around them, and one exchange.
type stage struct {
	testing.TB
	config   map[string]any
	exchange enrich.Exchange
}

func newStage(tb testing.TB) *stage {
	tb.Helper()
	redis, err := miniredis.Run()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(redis.Close)
	const prefix = "m2m:example.kinde.com:"
	redis.HSet(prefix+"app:"+client, "org_code", organization, "region", "eu", "plan", "gold")
	redis.HSet(prefix+"org:"+organization, "code", organization, "name", "Acme Inc", "plan", "gold", "is_suspended", "false")
	provider, err := idptest.Start(teststage.Issuer)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(provider.Close)
	token, err := provider.Sign(provider.Claims(client, []string{"https://api.example.com"}, nil))
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := jws.Generate("ec")
	if err != nil {
		tb.Fatal(err)
	}
	keyFile := filepath.Join(tb.TempDir(), "keys.json")
	if err := os.WriteFile(keyFile, keys, 0o600); err != nil {
		tb.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(redis.Addr())
	return &stage{
		TB: tb,
		config: map[string]any{
			"issuer": teststage.Issuer, "jwks_uri": provider.JWKSURI(), "redis": map[string]any{"host": host, "port": json.Number(port)},
			"signing": map[string]any{"jwks_file": keyFile}, "cache": map[string]any{"ttl": 86400},
		},
		exchange: enrich.Exchange{
			Request: enrich.Request{
				Method: "POST", ContentType: "application/x-www-form-urlencoded",
				Body: []byte("grant_type=client_credentials&client_id=" + client + "&client_secret=s&audience=https%3A%2F%2Fapi.example.com"),
			},
			Response: enrich.Response{Status: 200, Body: []byte(`{"access_token":"` + token + `","token_type":"bearer","expires_in":86399}`)},
		},
	}
}

// open opens a gateway with config beside what every one has.
func (s *stage) open(tb testing.TB, config map[string]any) *gateway.Gateway {
	tb.Helper()
	whole := maps.Clone(s.config)
	maps.Copy(whole, config)
	text, err := json.Marshal(whole)
	if err != nil {
		tb.Fatal(err)
	}
	cfg, err := gateway.Validated(schema.ParseInstance(text))
	if err != nil {
		tb.Fatal(err)
	}
	g, err := gateway.Open(cfg, gateway.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return g
}

// enrich decides the exchange once.
func (s *stage) enrich(tb testing.TB, g *gateway.Gateway) enrich.Result {
	tb.Helper()
	r := g.Enrich(tb.Context(), s.exchange)
	if r.Outcome != enrich.Enriched {
		tb.Fatalf("got the outcome %s, want %s: %v", r.Outcome, enrich.Enriched, r.Cause)
	}
	return r
}

// claims returns the claims of an enriched token.
func (s *stage) claims(g *gateway.Gateway) map[string]any {
	s.Helper()
	token, err := teststage.AccessToken(s.enrich(s, g).Body)
	if err != nil {
		s.Fatal(err)
	}
	_, payload, err := teststage.Unverified(token)
	if err != nil {
		s.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		s.Fatal(err)
	}
	return claims
}
