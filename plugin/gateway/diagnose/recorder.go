package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

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
