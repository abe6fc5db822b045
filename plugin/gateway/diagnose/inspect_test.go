package diagnose

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
)

func TestInspect(t *testing.T) {
	const issuer = "https://example.kinde.com"
	ring, err := throwawayRing()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; _, _ = w.Write(ring.PublicSet()) }))
	t.Cleanup(gateway.Close)
	provider, err := idptest.Start(issuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	by := func(ring *jws.Ring, iss string, exp time.Time) string {
		token, err := ring.Sign(t.Context(), []byte(`"JWT"`), fmt.Appendf(nil, `{"iss":%q,"exp":%d}`, iss, exp.Unix()))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	stranger, err := throwawayRing()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := provider.Sign(provider.Claims("a", []string{"https://api.example.com"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	cfg := &schema.Config{Issuer: issuer, JWKSURI: provider.JWKSURI()}
	own := &schema.Config{Issuer: issuer, JWKSURI: provider.JWKSURI(), Signing: schema.Signing{Issuer: "https://gateway.example.com"}}
	silent := &schema.Config{Issuer: issuer, JWKSURI: "http://127.0.0.1:1/jwks"}
	for name, tt := range map[string]struct {
		cfg        *schema.Config
		token, by  string
		accepted   bool
		why        string
		keysFailed bool
	}{
		"the gateway's":      {cfg, by(ring, issuer, soon), byGateway, true, "", false},
		"its own issuer":     {own, by(ring, "https://gateway.example.com", soon), byGateway, true, "", false},
		"another issuer":     {own, by(ring, issuer, soon), byGateway, false, "issuer", false},
		"expired":            {cfg, by(ring, issuer, past), byGateway, false, "expired", false},
		"the provider's":     {cfg, raw, byProvider, false, "it isn't enriched", false},
		"a stranger's":       {cfg, by(stranger, issuer, soon), byNobody, false, "key", false},
		"no provider needed": {silent, by(ring, issuer, soon), byGateway, true, "", false},
		"nobody can say":     {silent, by(stranger, issuer, soon), "", false, "", true},
	} {
		i, err := Inspect(t.Context(), tt.cfg, gateway.URL, tt.token)
		if tt.keysFailed {
			if !errors.Is(err, jws.ErrKeysUnavailable) {
				t.Errorf("%s: got %+v, %v, want ErrKeysUnavailable", name, i, err)
			}
			continue
		}
		if err != nil || i.SignedBy != tt.by || i.Accepted != tt.accepted || !strings.Contains(i.Why, tt.why) || !strings.Contains(i.Payload, `"iss"`) {
			t.Errorf("%s: got %+v, %v, want signed by %s, accepted: %t, because of %q", name, i, err, tt.by, tt.accepted, tt.why)
		}
	}
	asked = 0
	if _, err := Inspect(t.Context(), cfg, gateway.URL, by(ring, issuer, past)); err != nil || asked != 1 {
		t.Errorf("the gateway was asked %d times, %v, want once", asked, err)
	}
	if _, err := Inspect(t.Context(), cfg, "http://127.0.0.1:1", raw); !errors.Is(err, jws.ErrKeysUnavailable) {
		t.Errorf("without the gateway's keys: got %v, want ErrKeysUnavailable", err)
	}
}
