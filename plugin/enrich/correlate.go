package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Records looks up applications, organizations and users.
type Records interface {
	// Record returns the record of kind that id names. The error wraps
	// schema.ErrNoRecord, schema.ErrInvalidRecord or schema.ErrUnavailable. A
	// record beside the last one is too old to issue a token with. Safe for
	// concurrent use; the record must not be modified.
	Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error)
}

// lookup is the result of one lookup.
type lookup struct {
	id     string // "" if nothing was looked up
	record schema.Record
	err    error
}

func (l lookup) is(sentinel error) bool { return errors.Is(l.err, sentinel) }

// correlation is an application with the organization and the user that its
// properties or its token name.
type correlation struct {
	application, organization, user lookup
}

// correlate looks up the records and ends the exchange if they don't allow a
// token. If Redis doesn't answer, the exchange continues: the records that are
// known may be reason enough to refuse.
func (e *Enricher) correlate(ctx context.Context, clientID string, claims jws.Claims) (correlation, error) {
	var c correlation
	c.application = e.lookUp(ctx, schema.Application, clientID)
	if c.application.is(schema.ErrNoRecord) {
		return c, &verdict{UnknownApplication, c.application.err}
	}
	c.organization = e.related(ctx, schema.Organization, e.named(e.cfg.Organization, c.application, claims), c.application)
	c.user = e.related(ctx, schema.User, e.named(e.cfg.User, c.application, claims), c.application)
	switch {
	case c.organization.is(schema.ErrNoRecord):
		return c, &verdict{UnknownOrganization, c.organization.err}
	case c.user.is(schema.ErrNoRecord):
		return c, &verdict{UnknownUser, c.user.err}
	}
	for _, l := range []lookup{c.application, c.organization, c.user} {
		if l.is(schema.ErrInvalidRecord) {
			return c, &verdict{InvalidRecord, l.err}
		}
	}
	return c, c.validate()
}

func (e *Enricher) lookUp(ctx context.Context, kind schema.Kind, id string) lookup {
	if !schema.ValidID(id) {
		return lookup{id: id, err: fmt.Errorf("the %s's identifier is not %s: %w", kind, schema.IDForm, schema.ErrInvalidRecord)}
	}
	record, err := e.deps.Records.Record(ctx, kind, id)
	return lookup{id, record, err}
}

// identifier is what names an organization or a user.
type identifier struct {
	text string      // "" if nothing names one
	from schema.Kind // the kind of the source that has it
	err  error       // why it can't be an identifier
}

// named returns the first identifier that the sources of relation have. A claim
// that is null or empty is missing, as an empty property is.
func (e *Enricher) named(relation schema.Relation, application lookup, claims jws.Claims) identifier {
	for _, source := range relation.From {
		kind, key := schema.Source(source)
		if kind != schema.Token {
			if text := application.record[key]; text != "" {
				return identifier{text: text, from: kind}
			}
			continue
		}
		value := claims.Find(key)
		if blank(value) {
			continue
		}
		text, ok := splice.Text(value)
		if !ok {
			return identifier{from: kind, err: fmt.Errorf("the claim %q of the token is not a string: %w", key, schema.ErrInvalidRecord)}
		}
		return identifier{text: text, from: kind}
	}
	return identifier{}
}

// related looks up the record of kind that id names. If no claim needs it, the
// result has the identifier alone. If the application is unavailable, so is what it
// names: its record might name another than the token.
func (e *Enricher) related(ctx context.Context, kind schema.Kind, id identifier, application lookup) lookup {
	switch {
	case !e.cfg.Uses(kind):
		return lookup{id: id.text, err: application.err}
	case id.err != nil, id.text == "":
		return lookup{err: cmp.Or(application.err, id.err)}
	}
	l := e.lookUp(ctx, kind, id.text)
	if id.from == schema.Token {
		l.err = cmp.Or(application.err, l.err)
	}
	l.err = cmp.Or(l.err, application.err)
	return l
}

// validate ends the exchange if a record contradicts its key, or if the
// organization is suspended.
func (c correlation) validate() error {
	if code := c.organization.record[schema.OrganizationCode]; code != "" && code != c.organization.id {
		return decided(InvalidRecord, "organization %q has another code: %w", c.organization.id, schema.ErrInvalidRecord)
	}
	if id := c.user.record[schema.UserID]; id != "" && id != c.user.id {
		return decided(InvalidRecord, "user %q has another id: %w", c.user.id, schema.ErrInvalidRecord)
	}
	text := c.organization.record[schema.IsSuspended]
	suspended, ok := schema.Boolean(text)
	switch {
	case suspended:
		return decided(SuspendedOrganization, "organization %q is suspended", c.organization.id)
	case ok || text == "":
		return nil
	}
	return decided(InvalidRecord, "organization %q: %s is neither true nor false: %w", c.organization.id, schema.IsSuspended, schema.ErrInvalidRecord)
}

// of returns the lookup of kind.
func (c correlation) of(kind schema.Kind) lookup {
	switch kind {
	case schema.Organization:
		return c.organization
	case schema.User:
		return c.user
	case schema.Token:
		return lookup{} // nothing to look up
	}
	return c.application
}

// unavailable returns why a record can't be used to issue a token, or nil.
func (c correlation) unavailable() error {
	return cmp.Or(c.application.err, c.organization.err, c.user.err)
}
