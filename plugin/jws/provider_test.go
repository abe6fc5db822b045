package jws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

// idp is a provider's HTTP server. It counts the requests, and answers with
// what its tests put into it.
type idp struct {
	*httptest.Server
	hits atomic.Int64

	mu     sync.Mutex
	answer http.HandlerFunc
}

func newIDP(t *testing.T, answer http.HandlerFunc) *idp {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := &idp{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *idp) answers(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *idp) wantHits(t *testing.T, want int64) {
	t.Helper()
	if hits := s.hits.Load(); hits != want {
		t.Fatalf("the provider was asked %d times, want %d", hits, want)
	}
}

// provider returns a Provider of s's /jwks.json that is closed with the test.
func (s *idp) provider(t *testing.T, now func() time.Time) *Provider {
	t.Helper()
	return provide(t, s.URL, s.URL+"/jwks.json", now)
}

func provide(t *testing.T, issuer, jwksURI string, now func() time.Time) *Provider {
	t.Helper()
	transport := &http.Transport{}
	p := NewProvider(issuer, jwksURI, transport, now)
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(p.Close)
	return p
}

// text answers with body.
func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// waitForFetch waits for the current fetch, if there is one.
func waitForFetch(p *Provider) {
	p.keys.flight.Do("fetch", func() (any, error) { return nil, nil })
}

// kids returns the kids of keys, separated by spaces.
func kids(keys ProviderKeys) string {
	var list []string
	for _, key := range keys {
		list = append(list, key.KeyID)
	}
	return strings.Join(list, " ")
}

func wantKeys(t *testing.T, p *Provider, want string) {
	t.Helper()
	keys, err := p.Keys(t.Context())
	if err != nil || kids(keys) != want {
		t.Errorf("Keys = %s, %v, want %s", kids(keys), err, want)
	}
}

func wantUnavailable(t *testing.T, p *Provider, parts ...string) {
	t.Helper()
	keys, err := p.Keys(t.Context())
	if keys != nil || !errors.Is(err, ErrKeysUnavailable) {
		t.Fatalf("Keys = %s, %v, want ErrKeysUnavailable", kids(keys), err)
	}
	for _, part := range parts {
		if contains(err, part) == "" {
			t.Errorf("Keys = %q, want %q in it", err, part)
		}
	}
}

func TestProviderKeys(t *testing.T) {
	s := newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/jwks.json" || r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "application/json") {
			t.Errorf("the provider was asked with %s %s", r.Method, r.URL)
		}
		io.WriteString(w, set(t, public("k1", rsaKey()), public("k2", ecKey()), public("k3", edKey())))
	})
	p := s.provider(t, newClock().Now)
	for range 3 {
		wantKeys(t, p, "k1 k2 k3")
	}
	s.wantHits(t, 1)
}

// bad are answers that must not replace a cached set.
func bad(t *testing.T) map[string]http.HandlerFunc {
	many := make([]jose.JSONWebKey, maxSetKeys+1)
	for i := range many {
		many[i] = public("k", ecKey())
	}
	good := set(t, public("bad", rsaKey()))
	hs := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "bad"}
	return map[string]http.HandlerFunc{
		"500":                          status(500, good),
		"404":                          status(404, good),
		"201":                          status(201, good),
		"empty":                        text(""),
		"204":                          status(204, ""),
		"HTML":                         text("<!DOCTYPE html><title>Welcome</title>"),
		"no set":                       text(`{"error":"x"}`),
		"null":                         text("null"),
		"list":                         text("[]"),
		"keys null":                    text(`{"keys":null}`),
		"keys an object":               text(`{"keys":{}}`),
		"no keys":                      text(`{"keys":[]}`),
		"keys that aren't objects":     text(`{"keys":[1,null,"x",[]]}`),
		"unfinished":                   text(good[:len(good)-1]),
		"text after":                   text(good + "x"),
		"only symmetric keys":          text(set(t, hs)),
		"weak key":                     text(set(t, public("bad", weakRSA()))),
		"private RSA key":              text(set(t, private(rsaKey()), public("bad", ecKey()))),
		"private EC key":               text(set(t, public("bad", rsaKey()), private(ecKey()))),
		"private Ed25519 key":          text(set(t, public("bad", rsaKey()), private(edKey()))),
		"private key that is unusable": text(strings.Replace(good, `[`, `[{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ"},`, 1)),
		"too many keys":                text(set(t, many...)),
		"too large":                    text(good + strings.Repeat(" ", maxAnswer)),
		"only encryption keys":         text(strings.Replace(good, `"kty"`, `"use":"enc","kty"`, 1)),
		"unknown type":                 text(`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}]}`),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			io.WriteString(w, good)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("a redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
	}
}

func TestProviderBadAnswer(t *testing.T) {
	for name, answer := range bad(t) {
		t.Run(name, func(t *testing.T) {
			s := newIDP(t, answer)
			now := newClock()
			fresh := s.provider(t, now.Now)
			wantUnavailable(t, fresh, s.URL)
			s.wantHits(t, 1)
			wantUnavailable(t, fresh)
			s.wantHits(t, 1)

			s.answers(text(set(t, public("k1", rsaKey()))))
			now.advance(retryInterval)
			wantKeys(t, fresh, "k1")

			s.answers(answer)
			if _, err := fresh.Renewed(t.Context()); err != nil {
				t.Errorf("Renewed = %v, want the cached keys", err)
			}
			now.advance(refreshAfter)
			wantKeys(t, fresh, "k1")
			waitForFetch(fresh)
			wantKeys(t, fresh, "k1")
		})
	}
}

func TestProviderSkipsKeys(t *testing.T) {
	hs := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "symmetric"}
	usable := set(t, public("weak", weakRSA()), hs, public("k1", rsaKey()))
	keys := providerKeys(t, strings.Replace(usable, `"keys":[`, `"keys":[{"kty":"AKP","kid":"unknown"},7,{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":null},`, 1))
	if kids(keys) != "k1" {
		t.Errorf("the keys are %s, want k1", kids(keys))
	}
}

func TestProviderLimits(t *testing.T) {
	many := make([]jose.JSONWebKey, maxSetKeys)
	for i := range many {
		many[i] = public("k", ecKey())
	}
	if keys := providerKeys(t, set(t, many...)); len(keys) != maxSetKeys {
		t.Errorf("got %d keys, want %d", len(keys), maxSetKeys)
	}
	body := set(t, public("k1", rsaKey()))
	s := newIDP(t, text(body+strings.Repeat(" ", maxAnswer-len(body))))
	wantKeys(t, s.provider(t, newClock().Now), "k1")
}

func TestProviderRetries(t *testing.T) {
	s := newIDP(t, status(503, ""))
	now := newClock()
	p := s.provider(t, now.Now)
	for want := int64(1); want <= 3; want++ {
		wantUnavailable(t, p)
		wantUnavailable(t, p)
		s.wantHits(t, want)
		now.advance(retryInterval)
	}
}

// recorder is a transport that keeps how long a request may take.
type recorder struct {
	http.RoundTripper
	deadline time.Duration
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	at, _ := req.Context().Deadline()
	r.deadline = time.Until(at)
	return r.RoundTripper.RoundTrip(req)
}

func TestProviderDeadline(t *testing.T) {
	s := newIDP(t, text(set(t, public("k1", rsaKey()))))
	transport := &http.Transport{DisableKeepAlives: true}
	r := &recorder{RoundTripper: transport}
	p := NewProvider(s.URL, s.URL, r, newClock().Now)
	defer p.Close()
	if _, err := p.Keys(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r.deadline <= 0 || r.deadline > fetchTimeout {
		t.Errorf("the request had %v, want at most %v", r.deadline, fetchTimeout)
	}
}
