package diagnose

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
)

// imagined returns a token that the provider might issue, and a verifier for it. It
// is signed with a throwaway key, because nobody has the provider's.
func imagined(cfg *schema.Config, event enrich.Event) (string, enrich.Verifier, error) {
	ring, err := providerRing()
	if err != nil {
		return "", nil, err
	}
	keys, err := jws.ParseProviderKeys(ring.PublicSet())
	if err != nil {
		return "", nil, err
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": cfg.Issuer, "iat": now, "exp": now + 3600, "jti": "explained"}
	if len(event.Audience) > 0 {
		claims["aud"] = event.Audience
	}
	if len(event.Scope) > 0 {
		claims["scp"] = event.Scope
	}
	path := cfg.ClientIDClaim
	if len(path) == 0 {
		path = []string{"azp"}
	}
	at := claims
	for _, name := range path[:len(path)-1] {
		inner := map[string]any{}
		at[name] = inner
		at = inner
	}
	at[path[len(path)-1]] = event.ClientID
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", nil, err
	}
	token, err := ring.Sign(context.Background(), []byte(`"JWT"`), payload)
	return token, jws.NewVerifier(cfg.Issuer, []string{ring.Algorithm()}, 0, fixedKeys(keys), time.Now), err
}

// fixedKeys are keys that don't change.
type fixedKeys jws.ProviderKeys

func (v fixedKeys) Keys(context.Context) (jws.ProviderKeys, error) { return jws.ProviderKeys(v), nil }
func (v fixedKeys) Renewed(context.Context) (jws.ProviderKeys, error) {
	return jws.ProviderKeys(v), nil
}

// orThrowaway returns the configured keys or, if you can't read them, a throwaway key.
func orThrowaway(configured func(context.Context) (enrich.Ring, error)) func(context.Context) (enrich.Ring, error) {
	return func(ctx context.Context) (enrich.Ring, error) {
		if ring, err := configured(ctx); err == nil {
			return ring, nil
		}
		return gatewayRing()
	}
}

// The throwaway keys of this process, made when the first explanation needs them.
var (
	providerRing = sync.OnceValues(throwawayRing)
	gatewayRing  = sync.OnceValues(throwawayRing)
)

// throwawayRing returns a new key. RSA, because its signatures are the longest.
func throwawayRing() (*jws.Ring, error) {
	text, err := jws.Generate("rsa")
	if err != nil {
		return nil, err
	}
	return jws.ParseRing(text)
}
