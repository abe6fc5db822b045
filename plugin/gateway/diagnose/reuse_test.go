package diagnose

import (
	"fmt"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

// TestExplainReuse: whether a client's answer may be reused, as far as the
// configuration and the records decide it.
func TestExplainReuse(t *testing.T) {
	server := redistest.Start(t)
	for name, tt := range map[string]struct {
		reuse   map[string]any
		more    map[string]any // of the configuration
		client  string
		want    Reuse
		because string
	}{
		"off":                            {client: "good", because: "reuse isn't enabled"},
		"off, refused":                   {client: "nobody", because: "reuse isn't enabled"},
		"on":                             {reuse: map[string]any{}, client: "good", want: Reuse{Seconds: 300, AtMost: true}},
		"max_age":                        {reuse: map[string]any{"max_age": 86400.0}, client: "good", want: Reuse{Seconds: 86400, AtMost: true}},
		"share of max_ttl":               {reuse: map[string]any{"min_remaining": 0.0}, more: ttl(200), client: "good", want: Reuse{Seconds: 150, AtMost: true}},
		"rest of max_ttl":                {reuse: map[string]any{"min_remaining": 80.0}, more: ttl(200), client: "good", want: Reuse{Seconds: 120, AtMost: true}},
		"the provider fails":             {reuse: map[string]any{"if_provider_fails": true}, more: ttl(3600), client: "good", want: Reuse{Seconds: 300, OutageSeconds: 3540, AtMost: true}},
		"only then":                      {reuse: map[string]any{"if_provider_fails": true, "share_of_life": 0.0}, more: ttl(3600), client: "good", want: Reuse{OutageSeconds: 3540, AtMost: true}},
		"min_remaining of a day":         {reuse: map[string]any{"min_remaining": 86400.0}, client: "good", want: Reuse{Seconds: 300, AtMost: true}},
		"observed":                       {reuse: map[string]any{}, more: map[string]any{"mode": "observe"}, client: "good", because: "the client is observed"},
		"outside of the share":           {reuse: map[string]any{}, more: map[string]any{"enforce_share": 0.0}, client: "good", because: "the client is observed"},
		"refused":                        {reuse: map[string]any{}, client: "nobody", because: "the outcome is unknown_application"},
		"observed, and would be refused": {reuse: map[string]any{}, more: map[string]any{"mode": "observe"}, client: "nobody", because: "the outcome is unknown_application"},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := Explain(t.Context(), explained(t, server, reusing(tt.reuse, tt.more)), tt.client, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := x.Reuse
			if !strings.Contains(got.WhyNot, tt.because) || (got.WhyNot == "") != (tt.because == "") {
				t.Errorf("got the reason %q, want %q", got.WhyNot, tt.because)
			}
			if got.WhyNot = ""; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func ttl(seconds float64) map[string]any {
	return map[string]any{"signing": map[string]any{"jwks_file": "/nonexistent/keys.json", "max_ttl": seconds}}
}

// reusing returns changes that enable reuse with these fields, unless they are nil, and
// more changes.
func reusing(reuse, more map[string]any) map[string]any {
	changes := map[string]any{}
	for name, value := range more {
		changes[name] = value
	}
	if reuse != nil {
		changes["reuse"] = reuse
		reuse["enabled"] = true
	}
	return changes
}

// TestExplainReuseOfAnAnswer: a saved answer shows its token's life, and what else
// decides.
func TestExplainReuseOfAnAnswer(t *testing.T) {
	server := redistest.Start(t)
	provider, err := idptest.Start("https://example.kinde.com")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	signed := func(more map[string]any) string {
		claims := provider.Claims("good", []string{"https://api.example.com"}, nil)
		for name, value := range more {
			claims[name] = value
		}
		token, err := provider.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	answer := func(token, more string) string {
		quoted, err := splice.Quote(token)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"access_token":%s,%s}`, quoted, more)
	}
	token := signed(nil)
	for name, tt := range map[string]struct {
		saved   string
		config  map[string]any
		seconds int
		because string
	}{
		"token alone":        {saved: token, seconds: 300},
		"whole answer":       {saved: answer(token, `"token_type":"bearer","expires_in":3600`), seconds: 300},
		"share of its life":  {saved: answer(token, `"token_type":"bearer","expires_in":360`), seconds: 270},
		"rest of its life":   {saved: answer(token, `"token_type":"bearer","expires_in":120`), seconds: 60},
		"life too short":     {saved: answer(token, `"token_type":"bearer","expires_in":50`), because: "reuse.min_remaining"},
		"no share":           {saved: answer(token, `"token_type":"bearer","expires_in":90`), config: map[string]any{"share_of_life": 0.01}, because: "reuse.share_of_life"},
		"sender-bound":       {saved: answer(signed(map[string]any{"cnf": map[string]any{"jkt": "x"}}), `"token_type":"bearer"`), because: "cnf"},
		"another token_type": {saved: answer(token, `"token_type":"DPoP"`), because: "token_type"},
		"another token":      {saved: answer(token, `"token_type":"bearer","refresh_token":"r"`), because: "another token"},
		"not the provider's": {saved: token[:len(token)-8] + "AAAAAAAA", because: "the outcome is untrusted_token"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.config == nil {
				tt.config = map[string]any{}
			}
			cfg := explained(t, server, reusing(tt.config, map[string]any{"jwks_uri": provider.JWKSURI(), "other_tokens": "keep"}))
			x, err := ExplainToken(t.Context(), cfg, tt.saved)
			if err != nil {
				t.Fatal(err)
			}
			got, second := x.Reuse, min(1, tt.seconds) // that may have begun since the token was signed
			if got.Seconds != tt.seconds && got.Seconds != tt.seconds-second || got.AtMost || !strings.Contains(got.WhyNot, tt.because) || (got.WhyNot == "") != (tt.because == "") {
				t.Errorf("got %+v, want %d s or the reason %q", got, tt.seconds, tt.because)
			}
		})
	}
}
