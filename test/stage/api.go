package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Verify verifies a token as an API must: with the JWK set that the gateway
// publishes at jwksURL, its issuer and its times. It returns the claims.
func Verify(ctx context.Context, jwksURL, issuer, token string) (map[string]any, error) {
	return NewKeys(jwksURL).Verify(ctx, issuer, token)
}

// Keys is the JWK set that a gateway publishes, cached as an API caches it. Safe
// for concurrent use.
type Keys struct {
	url string
	mu  sync.Mutex
	set *jose.JSONWebKeySet // empty at first
}

// NewKeys returns the set that is published at url.
func NewKeys(url string) *Keys { return &Keys{url: url, set: &jose.JSONWebKeySet{}} }

// Verify verifies a token with the cached set, which is fetched again if it
// doesn't have the token's key.
func (k *Keys) Verify(ctx context.Context, issuer, token string) (map[string]any, error) {
	find := func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return k.find(ctx, kid, t.Method.Alg())
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, find,
		jwt.WithValidMethods([]string{"RS256", "PS256", "ES256", "EdDSA"}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired())
	if err != nil {
		return nil, err
	}
	return claims, nil
}

func (k *Keys) find(ctx context.Context, kid, algorithm string) (any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for fetched := false; ; fetched = true {
		for _, key := range k.set.Key(kid) {
			if key.Algorithm == algorithm {
				return key.Key, nil
			}
		}
		if fetched {
			return nil, fmt.Errorf("no key %q in %s", kid, k.url)
		}
		set, err := fetchSet(ctx, k.url)
		if err != nil {
			return nil, err
		}
		k.set = set
	}
}

func fetchSet(ctx context.Context, url string) (*jose.JSONWebKeySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", url, resp.StatusCode)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	return &set, nil
}

// API is an API that trusts only the keys at jwksURL(). It answers with the
// organization in the token.
func API(issuer string, jwksURL func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := Verify(ctx, jwksURL(), issuer, token)
		if err != nil {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "orders of %v\n", claims["org_code"])
	})
}
