package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/expression"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// compose returns the claims that the configuration maps.
func (e *Enricher) compose(ctx context.Context, claims jws.Claims, c correlation, values *expression.Values) ([]splice.Member, error) {
	changes := make([]splice.Member, 0, len(e.mappings)+2)
	for _, m := range e.mappings {
		if m.unavailable(c) {
			continue // which ends the exchange below
		}
		if err := ctx.Err(); err != nil && m.expression != nil {
			return nil, fmt.Errorf("compute the claim %q: %w", m.name, err)
		}
		value, err := m.value(c, claims, values)
		if err != nil {
			return nil, err
		}
		changes = append(changes, splice.Member{Name: m.name, Value: value})
	}
	if err := e.reconcile(claims, c, changes); err != nil {
		return nil, err
	}
	if err := c.unavailable(); err != nil {
		return nil, &verdict{LookupUnavailable, err}
	}
	return changes, nil
}

// values returns what expressions read, nil if there are none.
func (e *Enricher) values(event func() Event, claims jws.Claims, c correlation) *expression.Values {
	if !slices.ContainsFunc(e.mappings, func(m mapping) bool { return m.expression != nil }) {
		return nil
	}
	return expression.NewValues(expression.Event(event()), claims.Object, func(kind schema.Kind) schema.Record { return c.of(kind).record })
}

// unavailable reports whether a record that the claim needs is unavailable.
func (m mapping) unavailable(c correlation) bool {
	if m.expression == nil {
		return c.of(m.kind).err != nil
	}
	return slices.ContainsFunc(m.reads(), func(source string) bool {
		kind, _ := schema.Source(source)
		return c.of(kind).err != nil
	})
}

// value returns the value of the claim.
func (m mapping) value(c correlation, claims jws.Claims, values *expression.Values) (jsontext.Value, error) {
	switch {
	case m.expression != nil:
		return m.computed(values)
	case m.kind == "":
		return m.fallback, nil
	case m.kind == schema.Token:
		return m.claim(claims.Find(m.property))
	}
	text := c.of(m.kind).record[m.property]
	switch {
	case text == "" && m.fallback != nil:
		return m.fallback, nil
	case text == "":
		return nil, decided(MissingProperty, "claim %q needs %s.%s, which is missing", m.name, m.kind, m.property)
	}
	value, err := convert(m.typ, text)
	if err != nil {
		return nil, decided(MissingProperty, "claim %q needs %s.%s, which is %w", m.name, m.kind, m.property, err)
	}
	return value, nil
}

// computed returns the value that the expression gives.
func (m mapping) computed(values *expression.Values) (jsontext.Value, error) {
	value, err := m.expression.Value(values)
	switch {
	case errors.Is(err, expression.ErrMissing) && m.fallback != nil:
		return m.fallback, nil
	case err != nil:
		return nil, decided(MissingProperty, "claim %q: %w", m.name, err)
	}
	return value, nil
}

// claim returns the value of the claim that is given, a claim of the verified token.
// It keeps its bytes.
func (m mapping) claim(given jsontext.Value) (jsontext.Value, error) {
	switch {
	case blank(given) && m.fallback != nil:
		return m.fallback, nil
	case blank(given):
		return nil, decided(MissingProperty, "claim %q needs token.%s, which is missing", m.name, m.property)
	case !isOfType(m.typ, given):
		return nil, decided(MissingProperty, "claim %q needs token.%s, which is not of type %s", m.name, m.property, m.typ)
	}
	return given, nil
}

// reconcile ends the exchange if the provider and the records contradict each
// other.
func (e *Enricher) reconcile(claims jws.Claims, c correlation, changes []splice.Member) error {
	if err := agrees(claims, e.cfg.Organization.TokenClaim, c.organization.id); err != nil {
		return err
	}
	if err := agrees(claims, e.cfg.User.TokenClaim, c.user.id); err != nil {
		return err
	}
	return conflicts(claims, changes)
}

// conflicts ends the exchange if the provider's claims contradict one of changes.
func conflicts(claims jws.Claims, changes []splice.Member) error {
	for _, change := range changes {
		if other := claims.Alike(change.Name); other != "" {
			return decided(ClaimConflict, "the provider's claim %q may be taken for %q", other, change.Name)
		}
		if present := claims.Get(change.Name); !absent(present) && !same(present, change.Value) {
			return decided(ClaimConflict, "the provider's claim %q has another value", change.Name)
		}
	}
	return nil
}

// lacking returns those of changes that the provider's token lacks.
func lacking(claims jws.Claims, changes []splice.Member) []splice.Member {
	return slices.DeleteFunc(changes, func(change splice.Member) bool { return !absent(claims.Get(change.Name)) })
}

// agrees ends the exchange if the claim at path isn't id and both exist.
func agrees(claims jws.Claims, path []string, id string) error {
	present := claims.At(path)
	if id == "" || absent(present) {
		return nil
	}
	if text, ok := splice.Text(present); !ok || text != id {
		return decided(ClaimConflict, "the provider's claim %q names another than the record", path)
	}
	return nil
}

// extend adds to the mapped claims those that the workflow computes, if there is one.
func (e *Enricher) extend(ctx context.Context, event func() Event, claims jws.Claims, records correlation, mapped []splice.Member, r *Result) ([]splice.Member, error) {
	if e.deps.Workflow == nil {
		return mapped, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run the workflow: %w", err)
	}
	computed, err := e.compute(ctx, event(), records, mapped, r)
	if err != nil {
		return nil, err
	}
	if err := conflicts(claims, computed); err != nil {
		return nil, err
	}
	return slices.Concat(mapped, computed), nil
}

// compute runs the workflow. A failure is the workflow's own, unless a lookup ended
// the exchange.
func (e *Enricher) compute(ctx context.Context, event Event, records correlation, mapped []splice.Member, r *Result) ([]splice.Member, error) {
	var ended error
	computed, printed, err := e.deps.Workflow.Run(ctx, event, slices.Clone(mapped), e.relatedTo(ctx, &records, &ended))
	r.Printed = clip(printed)
	switch size := sizeOf(computed); {
	case ended != nil:
		return nil, ended
	case err == nil && size > e.cfg.MaxTokenSize:
		return nil, decided(TokenTooLarge, "the workflow's claims have %d bytes, more than %d", size, e.cfg.MaxTokenSize)
	case err == nil:
		computed, err = accept(e.cfg, computed, mapped)
	}
	if err != nil {
		r.policy = e.deps.Workflow.Policy()
		return nil, &verdict{WorkflowFailed, err}
	}
	for _, claim := range computed {
		r.Computed = append(r.Computed, claim.Name)
	}
	return computed, nil
}

// gatewayClaims returns the claims that the gateway sets as an issuer, and the
// token's life in seconds if they shorten it, otherwise 0.
func (e *Enricher) gatewayClaims(claims jws.Claims, now time.Time) (changes []splice.Member, expiresIn int64, err error) {
	if e.issuer != nil {
		changes = append(changes, splice.Member{Name: "iss", Value: e.issuer})
	}
	maxTTL := int64(e.cfg.Signing.MaxTTL)
	if maxTTL == 0 {
		return changes, 0, nil
	}
	exp, err := claims.GetExpirationTime()
	if err != nil {
		return nil, 0, err
	}
	latest := now.Unix() + maxTTL
	if exp.Unix() <= latest {
		return changes, 0, nil
	}
	return append(changes, splice.Member{Name: "exp", Value: strconv.AppendInt(nil, latest, 10)}), maxTTL, nil
}
