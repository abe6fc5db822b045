package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// slow takes a second for whatever it is asked.
type slow struct {
	enrich.Records
	t      *testing.T
	client string
	known  map[string]schema.Record
}

// Verify implements [enrich.Verifier].
func (s slow) Verify(context.Context, string) (*jws.Token, error) {
	<-time.After(time.Second)
	return verified(s.t, s.client), nil
}

// Record implements [enrich.Records].
func (s slow) Record(_ context.Context, _ schema.Kind, id string) (schema.Record, error) {
	<-time.After(time.Second)
	if record, ok := s.known[id]; ok {
		return record, nil
	}
	return nil, schema.ErrNoRecord
}

type slowRing struct{}

func (slowRing) Has(string) bool { return false }
func (slowRing) KeyID() string   { return "k" }

// Sign implements [enrich.Ring].
func (slowRing) Sign(context.Context, jsontext.Value, []byte) (string, error) {
	<-time.After(time.Second)
	return "a.b.c", nil
}

type slowWorkflow struct{}

func (slowWorkflow) Policy() string { return "" }

// Run implements [enrich.Workflow].
func (slowWorkflow) Run(context.Context, enrich.Event, []splice.Member, enrich.Related) ([]splice.Member, []string, error) {
	<-time.After(time.Second)
	return nil, nil, nil
}

// verified is a token of client, as a verifier returns it.
func verified(t *testing.T, client string) *jws.Token {
	t.Helper()
	claims, err := jws.UnverifiedClaims(token(t, fmt.Sprintf(`{"azp":%q}`, client)))
	if err != nil {
		t.Error(err)
	}
	return &jws.Token{Claims: claims, Type: jsontext.Value(`"JWT"`)}
}

// token is a compact token with payload.
func token(t *testing.T, payload string) string {
	t.Helper()
	text, err := jws.Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := ring.Sign(context.Background(), nil, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestSteps: each step that an exchange took is reported once, with its time, and
// the lookups of several records are one.
func TestSteps(t *testing.T) {
	for client, want := range map[string]map[string]time.Duration{
		"good":   {"verify": time.Second, "lookup": 2 * time.Second, "workflow": time.Second, "sign": time.Second},
		"nobody": {"verify": time.Second, "lookup": time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			type key struct{}
			got := map[string]time.Duration{}
			var order []string
			g := &Gateway{Config: config(t, "/nonexistent/keys.json"), step: func(ctx context.Context, s Step) {
				if ctx.Value(key{}) == nil || got[s.Name] != 0 {
					t.Errorf("%s of another context, or again", s.Name)
				}
				got[s.Name] = s.Ended.Sub(s.Started)
				order = append(order, s.Name)
			}}
			s := slow{t: t, client: client, known: map[string]schema.Record{"good": {"org_code": "o"}, "o": {"code": "o"}}}
			g.deps = enrich.Dependencies{Verifier: s, Records: s, Workflow: slowWorkflow{}, Ring: func(context.Context) (enrich.Ring, error) { return slowRing{}, nil }, Now: time.Now}
			var err error
			if g.enricher, err = enrich.New(g.Config, g.deps); err != nil {
				t.Fatal(err)
			}
			r := g.Enrich(context.WithValue(t.Context(), key{}, true), exchange())
			if !maps.Equal(got, want) || !slices.Equal(order, []string{"verify", "lookup", "workflow", "sign"}[:len(want)]) {
				t.Errorf("%s: got %v, want %v; outcome %s: %v", client, got, want, r.Outcome, r.Cause)
			}
		})
	}
}

// TestUnobserved: then nothing stands before what the decision asks, and it costs
// what the core costs.
func TestUnobserved(t *testing.T) {
	g := open(t, config(t, keyFile(t, generated(t))), Options{})
	if g.step != nil {
		t.Fatal("somebody observes")
	}
	x := enrich.Exchange{Response: enrich.Response{Status: 401}} // it takes nothing from a pool, which the race detector empties
	core := testing.AllocsPerRun(100, func() { g.enricher.Enrich(t.Context(), x) })
	if cost := testing.AllocsPerRun(100, func() { g.Enrich(t.Context(), x) }); cost > core {
		t.Errorf("%v allocations, want %v", cost, core)
	}
}

func exchange() enrich.Exchange {
	return enrich.Exchange{
		Request:  enrich.Request{Method: "POST", ContentType: enrich.FormMediaType, Body: []byte("grant_type=client_credentials")},
		Response: enrich.Response{Status: 200, Body: []byte(`{"access_token":"x"}`)},
	}
}
