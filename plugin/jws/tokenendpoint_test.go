package jws

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// discovered is a provider whose document names a token endpoint, /token. Its keys
// always answer. It returns a Provider that probes the token endpoint.
func discovered(t *testing.T, document string, token http.HandlerFunc) (*endpointIDP, *clock, *Provider) {
	t.Helper()
	s, now := &endpointIDP{}, newClock()
	keys := set(t, public("k1", rsaKey()))
	s.become(document, token)
	s.idp = newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		current := s.current.Load()
		switch r.URL.Path {
		case openID:
			io.WriteString(w, strings.ReplaceAll(current.document, "ISSUER", s.URL))
		case published:
			io.WriteString(w, keys)
		case "/token":
			s.asked.Add(1)
			current.token(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	p := provide(t, s.URL, "", now.Now)
	p.ProbeTokenEndpoint()
	return s, now, p
}

type endpointIDP struct {
	*idp
	asked   atomic.Int64 // requests at the token endpoint
	current atomic.Pointer[endpointState]
}

type endpointState struct {
	document string
	token    http.HandlerFunc
}

func (s *endpointIDP) become(document string, token http.HandlerFunc) {
	s.current.Store(&endpointState{document, token})
}

const withEndpoint = `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","token_endpoint":"ISSUER/token"}`

// learn lets p fetch the keys, and with them what the probe needs.
func learn(t *testing.T, p *Provider) {
	t.Helper()
	wantKeys(t, p, "k1")
	p.tokenEndpoint.flight.Do("fetch", func() (any, error) { return nil, nil })
}

func wantAlive(t *testing.T, p *Provider, what string, want bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Alive(ctx); (err == nil) != want {
		t.Errorf("%s: Alive = %v, want a sign of life: %t", what, err, want)
	}
	p.tokenEndpoint.flight.Do("fetch", func() (any, error) { return nil, nil })
}

// TestAliveAsksTheTokenEndpoint: it is asked by a plain GET. Every answer but 5xx and
// 429 is a sign of life, and a redirect is one that isn't followed. The keys, which
// answer all the time, aren't asked.
func TestAliveAsksTheTokenEndpoint(t *testing.T) {
	s, _, p := discovered(t, withEndpoint, status(405, ""))
	learn(t, p)
	fetched, _ := p.KeysState()
	for code, alive := range map[int]bool{200: true, 302: true, 400: true, 401: true, 404: true, 405: true, 429: false, 500: false, 501: false, 503: false} {
		s.become(withEndpoint, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if r.Method != http.MethodGet || r.URL.RawQuery != "" || len(body) > 0 || err != nil || r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
				t.Errorf("got %s %s with the headers %v and %d bytes, want a GET without credentials", r.Method, r.URL, r.Header, len(body))
			}
			w.Header().Set("Set-Cookie", "session=1")
			w.Header().Set("Location", s.URL+"/elsewhere")
			w.WriteHeader(code)
		})
		hits, asked := s.hits.Load(), s.asked.Load()
		wantAlive(t, p, fmt.Sprint("status ", code), alive)
		if s.hits.Load() != hits+1 || s.asked.Load() != asked+1 {
			t.Errorf("status %d: the provider was asked %d times, want the token endpoint alone, once", code, s.hits.Load()-hits)
		}
	}
	if again, failures := p.KeysState(); again != fetched || failures != 0 {
		t.Errorf("the keys were fetched at %v, with %d failures, want at %v, with none", again, failures, fetched)
	}
}

// TestAliveTokenEndpointSilent: its silence counts although the keys answer, also when
// the provider's document is old or gone. Once it answers, it lives.
func TestAliveTokenEndpointSilent(t *testing.T) {
	s, now, p := discovered(t, withEndpoint, status(405, ""))
	learn(t, p)
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, document := range []string{withEndpoint, `{`} {
		s.become(document, cut)
		wantAlive(t, p, "at first", false)
		now.advance(refreshAfter)
		wantAlive(t, p, "when a refresh is due", false)
		wantAlive(t, p, "after it", false)
	}
	now.advance(maxAge - 3*refreshAfter)
	wantAlive(t, p, "after almost a day", false)
	s.become(withEndpoint, status(405, ""))
	wantAlive(t, p, "when it answers", true)

	s.become(withEndpoint, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Alive(ctx); err == nil {
		t.Error("an endpoint that hangs: Alive = nil, want an error")
	}
}

// TestAliveWithoutTokenEndpoint: the keys are the probe unless the document names a
// token endpoint that may be asked, and that has answered once. Then its silence
// could have another cause, such as a network that doesn't lead there.
func TestAliveWithoutTokenEndpoint(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tt := range map[string]struct {
		document string
		token    http.HandlerFunc
		asked    int64
	}{
		"no token_endpoint": {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`, hang, 0},
		"a path":            {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","token_endpoint":"/token"}`, hang, 0},
		"plain http":        {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","token_endpoint":"http://idp.example/token"}`, hang, 0},
		"a user":            {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","token_endpoint":"https://u:p@idp.example/token"}`, hang, 0},
		"a number":          {`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","token_endpoint":1}`, hang, 0},
		"always 500":        {withEndpoint, status(500, ""), 1},
		"always 429":        {withEndpoint, status(429, ""), 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, now, p := discovered(t, tt.document, tt.token)
			for range 3 { // it is looked for once in 10 s
				wantAlive(t, p, "the keys answer", true)
				now.advance(time.Second)
			}
			if got := s.asked.Load(); got != tt.asked {
				t.Errorf("the token endpoint was asked %d times, want %d", got, tt.asked)
			}
		})
	}
}

// TestTokenEndpointOnlyIfAsked: by default no probe and no fetch of keys asks the token
// endpoint.
func TestTokenEndpointOnlyIfAsked(t *testing.T) {
	s := newPaths(t, map[string]string{openID: withEndpoint, published: set(t, public("k1", rsaKey()))})
	p := provide(t, s.URL, "", newClock().Now)
	wantKeys(t, p, "k1")
	if err := p.Alive(t.Context()); err != nil {
		t.Errorf("Alive = %v, want nil", err)
	}
	if got := strings.Join(s.requests(), " "); got != openID+" "+published+" "+openID {
		t.Errorf("the provider was asked for %s", got)
	}
}

// TestTokenEndpointMoves: the token endpoint is looked up again as the keys are.
func TestTokenEndpointMoves(t *testing.T) {
	s, now, p := discovered(t, withEndpoint, status(405, ""))
	learn(t, p)
	s.become(strings.ReplaceAll(withEndpoint, "/token\"", "/keys\""), status(503, ""))
	for range 3 { // the document first
		now.advance(refreshAfter)
		_ = p.Alive(t.Context())
		p.metadata.flight.Do("fetch", func() (any, error) { return nil, nil })
		p.tokenEndpoint.flight.Do("fetch", func() (any, error) { return nil, nil })
	}
	wantAlive(t, p, "at its new place", true)
}

// site answers requests without a network.
type site func(*http.Request) *http.Response

func (s site) RoundTrip(r *http.Request) (*http.Response, error) { return s(r), nil }

// TestTokenEndpointLeadsNoStrangerInside: the document of an issuer elsewhere doesn't
// choose what the gateway asks on its own host.
func TestTokenEndpointLeadsNoStrangerInside(t *testing.T) {
	for endpoint, asked := range map[string]bool{
		"https://idp.example/token": true, "https://login.example/token": true,
		"http://localhost:8001/": false, "https://localhost:8444/": false, "http://127.0.0.1:8001/": false, "https://[::1]/": false,
	} {
		var got atomic.Bool
		p := NewProvider(issuer, "", site(func(r *http.Request) *http.Response {
			got.Store(got.Load() || r.URL.String() == endpoint)
			document := fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"token_endpoint":%q}`, issuer, issuer+published, endpoint)
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(document)), Request: r}
		}), newClock().Now)
		p.ProbeTokenEndpoint()
		wantAlive(t, p, endpoint, true)
		p.Close()
		if got.Load() != asked {
			t.Errorf("%s: asked %t, want %t", endpoint, got.Load(), asked)
		}
	}
}
