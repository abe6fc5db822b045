package diagnose

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/gateway"
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
	Reuse       Reuse                              `json:"reuse"`
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
	return explain(ctx, cfg, question{token: token, imagined: true, ip: event.IP, verifier: verifier, records: records})
}

// ExplainToken is Explain for a token of the provider, or for its whole answer. The
// token is verified with the provider's keys.
func ExplainToken(ctx context.Context, cfg *schema.Config, token string) (*Explanation, error) {
	return explain(ctx, cfg, question{token: token})
}

// question is what an explanation is about.
type question struct {
	token    string          // or the provider's whole answer
	imagined bool            // the token isn't the provider's
	ip       string          // of the client
	verifier enrich.Verifier // nil means the provider's
	records  enrich.Records  // nil means those in Redis
}

// explain answers q as a gateway that enforces every application.
func explain(ctx context.Context, cfg *schema.Config, q question) (*Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	enforced := enforcing(cfg, q.imagined)
	g, err := gateway.Open(enforced, gateway.Options{})
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
	enricher, err := enrich.New(enforced, deps)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(q)
	result := enricher.Enrich(ctx, x)
	explanation, err := lookups.explanation(cfg, x.Response.Body, result)
	if err != nil {
		return nil, err
	}
	explanation.Reuse = reuseOf(cfg, result, q.imagined)
	explanation.Seconds = workflow.ran.Seconds()
	if info, ok := g.Workflow(); ok {
		explanation.Workflow = &Workflow{info.File, info.ID, result.Computed}
	}
	return explanation, nil
}

// enforcing returns cfg as it enforces every application. The life of an imagined token
// isn't known, so no life is too short for reuse.
func enforcing(cfg *schema.Config, imagined bool) *schema.Config {
	enforced := *cfg
	enforced.Mode, enforced.EnforceShare = schema.ModeEnforce, 100
	if imagined {
		enforced.Reuse.MinRemaining = 0
	}
	return &enforced
}

// exchangeOf is the request of a client, with a secret of its own, and the answer with
// the token of q. A token that begins as a JSON object is the whole answer.
func exchangeOf(q question) enrich.Exchange {
	body := []byte(q.token)
	if !strings.HasPrefix(q.token, "{") {
		body, _ = json.Marshal(map[string]any{"access_token": q.token, "token_type": "bearer"}) // texts always marshal
	}
	return enrich.Exchange{
		Request:  enrich.Request{Method: "POST", ContentType: "application/x-www-form-urlencoded", Body: []byte("grant_type=client_credentials&client_secret=unknown")},
		Response: enrich.Response{Status: 200, Body: body},
		IP:       q.ip,
	}
}
