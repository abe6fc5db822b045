package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Explanation is what the gateway would do with a token, and why.
type Explanation struct {
	Outcome     string                             `json:"outcome"`
	Action      string                             `json:"action"`
	Cause       string                             `json:"cause,omitempty"`
	ClientID    string                             `json:"client_id,omitempty"`
	Records     map[schema.Kind]map[string]*string `json:"records,omitempty"` // of the properties and claims that are read; null means missing
	Read        []Lookup                           `json:"read,omitempty"`    // the records, in the order of their lookups
	Workflow    *Workflow                          `json:"workflow,omitempty"`
	Printed     []string                           `json:"printed,omitempty"`     // by the workflow
	Seconds     float64                            `json:"seconds,omitempty"`     // that the workflow ran; zero if it didn't
	Claims      map[string]json.RawMessage         `json:"claims,omitempty"`      // of the enriched token
	Added       []string                           `json:"added,omitempty"`       // names of the claims that the provider's token lacks
	Dropped     []string                           `json:"dropped,omitempty"`     // members of the provider's answer that the enriched one lacks
	Expressions map[string]string                  `json:"expressions,omitempty"` // by the names of the claims that they compute
}

// explainTime is how long an explanation may take.
const explainTime = 20 * time.Second

// Explain runs the pipeline of the gateway, with the current records, for a token
// that the provider might issue to clientID for audience.
func Explain(ctx context.Context, cfg *schema.Config, clientID string, audience []string) (*Explanation, error) {
	return ExplainEvent(ctx, cfg, enrich.Event{ClientID: clientID, Audience: audience}, nil)
}

// ExplainEvent is Explain for a token with all that a workflow learns of an event,
// except its domain. Nil records are those in Redis.
func ExplainEvent(ctx context.Context, cfg *schema.Config, event enrich.Event, records enrich.Records) (*Explanation, error) {
	token, verifier, err := imagined(cfg, event)
	if err != nil {
		return nil, err
	}
	return explain(ctx, cfg, question{token: token, ip: event.IP, verifier: verifier, records: records})
}

// ExplainToken is Explain for a token of the provider, or for its whole answer. The
// token is verified with the provider's keys.
func ExplainToken(ctx context.Context, cfg *schema.Config, token string) (*Explanation, error) {
	return explain(ctx, cfg, question{token: token})
}

// question is what an explanation is about.
type question struct {
	token    string          // or the provider's whole answer
	ip       string          // of the client
	verifier enrich.Verifier // nil means the provider's
	records  enrich.Records  // nil means those in Redis
}

// imagined returns a token that the provider might issue, and a verifier for it. It
// is signed with a throwaway key, because nobody has the provider's.
func imagined(cfg *schema.Config, event enrich.Event) (string, enrich.Verifier, error) {
	ring, err := throwawayRing()
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

// explain answers q as a gateway that enforces every application.
func explain(ctx context.Context, cfg *schema.Config, q question) (*Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	enforced := *cfg
	enforced.Mode, enforced.EnforceShare = schema.ModeEnforce, 100
	g, err := gateway.Open(&enforced, gateway.Options{})
	if err != nil {
		return nil, err
	}
	defer g.Close()
	lookups := &recorder{Records: g.Records, records: map[schema.Kind]schema.Record{}}
	if q.records != nil {
		lookups.Records = q.records
	}
	deps := g.Dependencies()
	deps.Records, deps.Ring = lookups, orThrowaway(deps.Ring)
	if q.verifier != nil {
		deps.Verifier = q.verifier
	}
	workflow := &timedWorkflow{Workflow: deps.Workflow, limit: time.Duration(cfg.Timeout) * time.Millisecond}
	if deps.Workflow != nil {
		deps.Workflow = workflow
	}
	enricher, err := enrich.New(&enforced, deps)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(q)
	result := enricher.Enrich(ctx, x)
	explanation, err := lookups.explanation(cfg, x.Response.Body, result)
	if err != nil {
		return nil, err
	}
	explanation.Seconds = workflow.ran.Seconds()
	if info, ok := g.Workflow(); ok {
		explanation.Workflow = &Workflow{info.File, info.ID, result.Computed}
	}
	return explanation, nil
}

// orThrowaway returns the configured keys or, if you can't read them, a throwaway key.
func orThrowaway(configured func(context.Context) (enrich.Ring, error)) func(context.Context) (enrich.Ring, error) {
	return func(ctx context.Context) (enrich.Ring, error) {
		if ring, err := configured(ctx); err == nil {
			return ring, nil
		}
		return throwawayRing()
	}
}

// throwawayRing returns a new key. RSA, because its signatures are the longest.
func throwawayRing() (*jws.Ring, error) {
	text, err := jws.Generate("rsa")
	if err != nil {
		return nil, err
	}
	return jws.ParseRing(text)
}

// exchangeOf is the request of a client and the answer with the token of q. A token
// that begins as a JSON object is the whole answer.
func exchangeOf(q question) enrich.Exchange {
	body := []byte(q.token)
	if !strings.HasPrefix(q.token, "{") {
		body, _ = json.Marshal(map[string]any{"access_token": q.token, "token_type": "bearer", "expires_in": 3600}) // texts always marshal
	}
	return enrich.Exchange{
		Request:  enrich.Request{Method: "POST", ContentType: "application/x-www-form-urlencoded", Body: []byte("grant_type=client_credentials")},
		Response: enrich.Response{Status: 200, Body: body},
		IP:       q.ip,
	}
}

// recorder keeps the records that are looked up.
type recorder struct {
	enrich.Records
	records map[schema.Kind]schema.Record
	read    []Lookup
}

// Record implements [enrich.Records].
func (r *recorder) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	record, err := r.Records.Record(ctx, kind, id)
	if err == nil {
		r.records[kind] = record
		r.read = append(r.read, Lookup{kind, id})
	}
	return record, err
}

// explanation explains the result for the provider's answer, whose body is given.
func (r *recorder) explanation(cfg *schema.Config, body []byte, result enrich.Result) (*Explanation, error) {
	x := &Explanation{
		Outcome: string(result.Outcome), Action: result.Action.String(), ClientID: result.ClientID,
		Records: r.properties(cfg), Read: r.read, Printed: result.Printed,
	}
	if claims, err := claimsIn(body); err == nil && result.ClientID != "" { // the token was verified
		addClaims(x.Records, cfg, claims)
	}
	if result.Cause != nil {
		x.Cause = result.Cause.Error()
	}
	if result.Action != enrich.Replace {
		return x, nil
	}
	x.Dropped = result.Dropped
	return x, x.compare(cfg, body, result.Body)
}

// properties returns the properties that the configuration names, nil for a missing
// one. A source that is a kind alone names all.
func (r *recorder) properties(cfg *schema.Config) map[schema.Kind]map[string]*string {
	all := map[schema.Kind]map[string]*string{}
	for _, source := range cfg.Sources() {
		kind, name := schema.Source(source)
		record, found := r.records[kind]
		if !found {
			continue
		}
		if all[kind] == nil {
			all[kind] = map[string]*string{}
		}
		names := []string{name}
		if name == "" {
			names = slices.Collect(maps.Keys(record))
		}
		for _, name := range names {
			all[kind][name] = nil
			if value := record[name]; value != "" {
				all[kind][name] = &value
			}
		}
	}
	return all
}

// addClaims adds the claims that the configuration names, nil for a missing one. The
// token alone names all.
func addClaims(all map[schema.Kind]map[string]*string, cfg *schema.Config, claims jws.Claims) {
	named := map[string]*string{}
	for _, source := range cfg.Sources() {
		kind, path := schema.Source(source)
		switch {
		case kind != schema.Token:
		case path != "":
			named[path] = shown(claims.Find(path))
		default:
			for _, m := range claims.Members() {
				named[m.Name] = shown(m.Value)
			}
		}
	}
	if len(named) > 0 {
		all[schema.Token] = named
	}
}

// shown returns the text of a claim, nil if it is missing.
func shown(value jsontext.Value) *string {
	if value == nil || value.Kind() == 'n' {
		return nil
	}
	text, ok := splice.Text(value)
	if !ok {
		text = string(value)
	}
	return &text
}

// expressions returns the expressions by the names of the claims that they compute.
func expressions(cfg *schema.Config) map[string]string {
	sources := map[string]string{}
	for _, claim := range cfg.Claims {
		if claim.Expr != "" {
			sources[claim.Name] = claim.Expr
		}
	}
	return sources
}

// compare sets the claims of the token in the enriched answer, which of them that in
// the provider's lacks, and which expressions compute them.
func (x *Explanation) compare(cfg *schema.Config, provider, enriched []byte) error {
	old, err := claimsIn(provider)
	if err != nil {
		return fmt.Errorf("the provider's answer: %w", err)
	}
	after, err := claimsIn(enriched)
	if err != nil {
		return fmt.Errorf("the enriched answer: %w", err)
	}
	x.Claims, x.Expressions = map[string]json.RawMessage{}, expressions(cfg)
	for _, m := range after.Members() {
		x.Claims[m.Name] = json.RawMessage(m.Value)
		if old.Get(m.Name) == nil {
			x.Added = append(x.Added, m.Name)
		}
	}
	return nil
}

// claimsIn returns the claims of the access token in the body of an answer.
func claimsIn(body []byte) (jws.Claims, error) {
	answer, err := splice.Parse(body)
	if err != nil {
		return jws.Claims{}, err
	}
	token, _ := answer.Text("access_token")
	return jws.UnverifiedClaims(token)
}
