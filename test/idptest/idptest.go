// Package idptest is a stub identity provider over real HTTP: a token endpoint
// for client_credentials, a JWK set with rotation, discovery, and a switch for
// each way in which a provider can misbehave.
package idptest

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Lifetime is how long a token lives by default, in seconds.
const Lifetime = 86399

// Provider is a running stub provider. Safe for concurrent use.
type Provider struct {
	server *httptest.Server

	mu        sync.Mutex
	lifetime  int // of a token, in seconds
	issuer    string
	clients   map[string]string // secret by client id
	keys      []key             // the first signs
	published []key
	fault     Fault
	hits      map[string]int
}

type key struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

// Fault is how the provider misbehaves. The zero value is a good provider.
type Fault struct {
	// Answer replaces the token endpoint's whole answer.
	Answer http.HandlerFunc
	// Claims changes the claims of a token before it is signed.
	Claims func(map[string]any)
	// Token changes the signed token.
	Token func(string) string
	// Body changes the token response before it is encoded.
	Body func(map[string]any)
	// JWKS replaces the answer of the JWK set's endpoint.
	JWKS http.HandlerFunc
}

// Hang is an answer of the token endpoint that never comes. It ends with the connection.
func Hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is noticed only then
	<-r.Context().Done()
}

// Start starts a provider with one RSA key. issuer is the iss of its tokens, by
// default the provider's own URL. Close ends it.
func Start(issuer string) (*Provider, error) {
	p, err := newProvider()
	if err != nil {
		return nil, err
	}
	p.serve(issuer, p.routes())
	return p, nil
}

func newProvider() (*Provider, error) {
	p := &Provider{lifetime: Lifetime, clients: map[string]string{}, hits: map[string]int{}}
	return p, p.Rotate("RS256")
}

func (p *Provider) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth2/token", p.token)
	mux.HandleFunc("GET /.well-known/jwks", p.jwks)
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	return mux
}

func (p *Provider) serve(issuer string, routes http.Handler) {
	p.server = httptest.NewServer(p.count(routes))
	p.issuer = cmp.Or(issuer, p.server.URL)
}

// Close ends the provider and its connections.
func (p *Provider) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// URL is where the provider listens.
func (p *Provider) URL() string { return p.server.URL }

// JWKSURI is where the provider publishes its keys.
func (p *Provider) JWKSURI() string { return p.server.URL + "/.well-known/jwks" }

// Issuer is the iss of its tokens.
func (p *Provider) Issuer() string { return p.issuer }

// ManagementAudience is the audience of the provider's management API.
func (p *Provider) ManagementAudience() string { return p.issuer + "/api" }

// Hits returns how often path was asked for.
func (p *Provider) Hits(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[path]
}

// Add registers a client.
func (p *Provider) Add(id, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[id] = secret
}

// SetLifetime makes tokens live for seconds from now on.
func (p *Provider) SetLifetime(seconds int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lifetime = seconds
}

func (p *Provider) tokenLifetime() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lifetime
}

// Misbehave makes the provider follow f from now on.
func (p *Provider) Misbehave(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Rotate makes a new key that signs from now on, and publishes it with the
// previous ones.
func (p *Provider) Rotate(alg string) error {
	private, err := generate(alg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key{fmt.Sprintf("idp-%d", len(p.keys)+1), jwt.GetSigningMethod(alg), private}
	p.keys = append([]key{k}, p.keys...)
	p.published = append([]key{k}, p.published...)
	return nil
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
}

// Key returns the key that signs, for tests that forge.
func (p *Provider) Key() (kid string, private crypto.Signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[0].kid, p.keys[0].private
}

// Sign signs claims with the current key.
func (p *Provider) Sign(claims map[string]any) (string, error) {
	p.mu.Lock()
	k := p.keys[0]
	p.mu.Unlock()
	t := jwt.NewWithClaims(k.method, jwt.MapClaims(claims))
	t.Header["kid"] = k.kid
	return t.SignedString(k.private)
}

// Claims returns the claims of a token for client and audience, as Kinde's
// M2M tokens have them.
func (p *Provider) Claims(client string, audience, scope []string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"aud": audience, "azp": client, "exp": now + int64(p.tokenLifetime()), "gty": []string{"client_credentials"}, "iat": now,
		"iss": p.issuer, "jti": rand.Text(), "scp": scope, "v": "2",
	}
}

func (p *Provider) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.hits[r.URL.Path]++
		p.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (p *Provider) state() (Fault, map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, maps.Clone(p.clients)
}

func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	if fault, _ := p.state(); fault.JWKS != nil {
		fault.JWKS(w, r)
		return
	}
	p.mu.Lock()
	set := jose.JSONWebKeySet{}
	for _, k := range p.published {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Algorithm: k.method.Alg(), Use: "sig"})
	}
	p.mu.Unlock()
	writeJSON(w, http.StatusOK, set)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": p.issuer, "jwks_uri": p.JWKSURI(), "token_endpoint": p.server.URL + "/oauth2/token",
		"grant_types_supported":                 []string{"client_credentials", "authorization_code"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // it fails if the client has left
}
