package reuse_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
)

// issue is a token that the provider issued.
type issue struct {
	request  string    // with the gateway's configuration
	at       time.Time // when it accepted the credentials
	answered time.Time
	expires  time.Time
}

// provider issues tokens to clients whose secrets it accepts, unless it fails.
type provider struct {
	w *world

	mu          sync.Mutex
	mode        timeline[string] // ok, slow, failing, limited, silent
	keysUp      bool
	pause       string // Retry-After
	pausedUntil time.Time
	secrets     map[string]map[int]bool
	issues      map[string]*issue // by jti
}

func newProvider(w *world) *provider {
	p := &provider{w: w, keysUp: true, secrets: map[string]map[int]bool{}, issues: map[string]*issue{}}
	p.mode.set("ok")
	return p
}

// change lets the provider fail in a way, or recover.
func (p *provider) change() {
	next := []string{"ok", "ok", "slow", "failing", "limited", "silent"}[p.w.upTo(6)]
	keysUp := p.w.upTo(3) > 0
	pause := []string{"", "1", "7", "Fri, 31 Dec 1999 07:28:00 GMT", "-3", "soon", "30"}[p.w.upTo(7)]
	p.become(next, next != "silent" || keysUp, pause)
}

// become makes mode the provider's, with its key set up or away, and with a header
// Retry-After.
func (p *provider) become(mode string, keysUp bool, pause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.set(mode)
	p.keysUp, p.pause = keysUp, pause
}

// retryAfter is the header of an answer that just came.
func (p *provider) retryAfter() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seconds, _ := strconv.Atoi(p.pause)
	if until := time.Now().Add(time.Duration(seconds) * time.Second); until.After(p.pausedUntil) {
		p.pausedUntil = until
	}
	return p.pause
}

// accept makes the provider accept another secret of a client, and the previous ones
// only if they stay.
func (p *provider) accept(client string, version int, stay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.secrets[client] == nil || !stay {
		p.secrets[client] = map[int]bool{}
	}
	p.secrets[client][version] = true
}

// accepts reports whether the provider takes q. The caller holds mu.
func (p *provider) accepts(q request) bool {
	if q.inQuery {
		return true
	}
	valid, rotated := p.secrets[q.client.name]
	if !rotated {
		return q.secret == 0
	}
	return valid[q.secret]
}

// answer is the provider's answer to what the gateway sends, with status 0 for none.
// It decides at once and answers later: the worst for whoever relies on it.
func (p *provider) answer(g *given, sent request) (status int, body []byte) {
	p.mu.Lock()
	mode := p.mode.now()
	var issued *issue
	status, body = 401, []byte(`{"error":"invalid_client"}`)
	if g.q.changed || p.accepts(sent) {
		issued, body = p.issue(g, sent)
		status = 200
	}
	p.mu.Unlock()
	time.Sleep(80*time.Millisecond + p.w.upToTime(5*time.Millisecond))
	switch mode {
	case "slow":
		time.Sleep(p.w.upToTime(4 * time.Second))
	case "failing":
		return 503, []byte(`busy`)
	case "limited":
		return 429, []byte(`{"error":"slow_down"}`)
	case "silent":
		time.Sleep(p.w.upToTime(60 * time.Second))
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if issued != nil {
		issued.answered = time.Now()
	}
	return status, body
}

// issue issues a token. The caller holds mu.
func (p *provider) issue(g *given, q request) (*issue, []byte) {
	id, life, audience := fmt.Sprintf("token-%d", len(p.issues)), p.w.life, "https://api.example.com"
	claims := map[string]any{"iss": "https://idp.example.com", "jti": id, "azp": q.client.name}
	switch q.client.kind {
	case brief:
		life = 40 * time.Second
	case bound:
		claims["cnf"] = map[string]string{"jkt": "thumbprint"}
	case management:
		audience = "https://idp.example.com/api"
	}
	now := time.Now()
	claims["iat"], claims["exp"], claims["aud"] = now.Unix(), now.Add(life).Unix(), audience
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	body, err := json.Marshal(map[string]any{
		"access_token": "provider." + base64.RawURLEncoding.EncodeToString(payload) + ".s", "token_type": "Bearer", "expires_in": life / time.Second,
	})
	if err != nil {
		panic(err)
	}
	i := &issue{request: q.text(g.process.identity), at: now, expires: time.Unix(now.Add(life).Unix(), 0)}
	p.issues[id] = i
	return i, body
}

// Verify implements [enrich.Verifier].
func (p *provider) Verify(_ context.Context, token string) (*jws.Token, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] != "provider" {
		return nil, jws.ErrOpaque
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", jws.ErrUntrusted, err)
	}
	return parsed(payload)
}

// alive is a GET of the token endpoint if that is known, otherwise of the key set.
func (p *provider) alive(ctx context.Context) error {
	p.mu.Lock()
	mode, up := p.mode.now(), p.keysUp
	p.mu.Unlock()
	switch {
	case p.w.endpointKnown && (mode == "failing" || mode == "limited"):
		return errors.New("the token endpoint fails")
	case p.w.endpointKnown && mode != "silent", !p.w.endpointKnown && up:
		return nil
	}
	<-ctx.Done()
	return errors.New("the provider doesn't answer")
}

// modelToken is what the rules read of a token of the gateway's.
type modelToken struct {
	KeyID    string `json:"-"`
	TokenID  string `json:"jti"`
	Plan     string `json:"plan"`
	Expires  int64  `json:"exp"`
	ClientID string `json:"azp"`
}

func readToken(body []byte) (token modelToken, expiresIn int64, err error) {
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token, 0, err
	}
	parts := strings.Split(answer.Token, ".")
	if len(parts) != 3 {
		return token, 0, errors.New("not the gateway's token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &token)
	}
	token.KeyID = parts[0]
	return token, answer.ExpiresIn, err
}

// parsed returns the token whose payload is text.
func parsed(text []byte) (*jws.Token, error) {
	object, err := splice.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", jws.ErrUntrusted, err)
	}
	return &jws.Token{Type: jsontext.Value(`"JWT"`), Claims: jws.Claims{Object: object}, Key: "provider"}, nil
}
