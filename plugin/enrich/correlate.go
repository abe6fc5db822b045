package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"

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
// properties name.
type correlation struct {
	application, organization, user lookup
}

// correlate looks up the records and ends the exchange if they don't allow a
// token. If Redis doesn't answer, the exchange continues: the records that are
// known may be reason enough to refuse.
func (e *Enricher) correlate(ctx context.Context, clientID string) (correlation, error) {
	var c correlation
	c.application = e.lookUp(ctx, schema.Application, clientID)
	if c.application.is(schema.ErrNoRecord) {
		return c, &verdict{UnknownApplication, c.application.err}
	}
	c.organization = e.related(ctx, schema.Organization, c.application, e.cfg.Organization)
	c.user = e.related(ctx, schema.User, c.application, e.cfg.User)
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

// related looks up the record that a property of the application names. If no
// claim needs it, the result has the identifier alone. If the application is
// unavailable, so is what it names.
func (e *Enricher) related(ctx context.Context, kind schema.Kind, application lookup, relation schema.Relation) lookup {
	_, property := schema.Source(relation.From)
	id := application.record[property]
	if id == "" || !e.cfg.Uses(kind) {
		return lookup{id: id, err: application.err}
	}
	l := e.lookUp(ctx, kind, id)
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
	}
	return c.application
}

// unavailable returns why a record can't be used to issue a token, or nil.
func (c correlation) unavailable() error {
	return cmp.Or(c.application.err, c.organization.err, c.user.err)
}
