package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"m2m-token-enricher/schema"
)

// Records looks up what is known of an application, an organization or a user.
type Records interface {
	// Record returns the record of kind that id names. The error wraps
	// schema.ErrNoRecord, schema.ErrInvalidRecord or schema.ErrUnavailable; in
	// the last case a record that isn't nil is too old to issue a token by.
	// Safe for concurrent use; the record must not be modified.
	Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error)
}

// found is the answer of one lookup.
type found struct {
	id     string // "" if nothing was looked up
	record schema.Record
	err    error
}

func (f found) is(sentinel error) bool { return errors.Is(f.err, sentinel) }

// correlation is an application with the organization and the user that its
// properties name.
type correlation struct {
	application, organization, user found
}

// correlate looks up the records and ends the exchange if they don't allow a
// token. That Redis doesn't answer is left for later: what is known may
// already be a reason to refuse.
func (e *Enricher) correlate(ctx context.Context, clientID string) (correlation, error) {
	var c correlation
	c.application = e.lookup(ctx, schema.Application, clientID)
	if c.application.is(schema.ErrNoRecord) {
		return c, &end{UnknownApplication, c.application.err}
	}
	c.organization = e.related(ctx, schema.Organization, c.application, e.cfg.Organization)
	c.user = e.related(ctx, schema.User, c.application, e.cfg.User)
	switch {
	case c.organization.is(schema.ErrNoRecord):
		return c, &end{UnknownOrganization, c.organization.err}
	case c.user.is(schema.ErrNoRecord):
		return c, &end{UnknownUser, c.user.err}
	}
	for _, f := range []found{c.application, c.organization, c.user} {
		if f.is(schema.ErrInvalidRecord) {
			return c, &end{InvalidRecord, f.err}
		}
	}
	return c, c.validate()
}

func (e *Enricher) lookup(ctx context.Context, kind schema.Kind, id string) found {
	if !schema.ValidID(id) {
		return found{id: id, err: fmt.Errorf("the %s's identifier is not 1 to %d printable ASCII characters: %w", kind, schema.MaxIDSize, schema.ErrInvalidRecord)}
	}
	record, err := e.deps.Records.Record(ctx, kind, id)
	return found{id, record, err}
}

// related looks up the record that a property of the application names. The
// identifier is known even if no claim needs the record; if the application
// isn't known well enough, neither is what it names.
func (e *Enricher) related(ctx context.Context, kind schema.Kind, application found, relation schema.Relation) found {
	_, property := schema.Source(relation.From)
	id := application.record[property]
	if id == "" || !e.cfg.Uses(kind) {
		return found{id: id, err: application.err}
	}
	f := e.lookup(ctx, kind, id)
	if f.err == nil {
		f.err = application.err
	}
	return f
}

// validate checks what the records say of themselves.
func (c correlation) validate() error {
	if code := c.organization.record[schema.OrganizationCode]; code != "" && code != c.organization.id {
		return endWith(InvalidRecord, "organization %q has another code: %w", c.organization.id, schema.ErrInvalidRecord)
	}
	if id := c.user.record[schema.UserID]; id != "" && id != c.user.id {
		return endWith(InvalidRecord, "user %q has another id: %w", c.user.id, schema.ErrInvalidRecord)
	}
	switch c.organization.record[schema.IsSuspended] {
	case "", "false":
		return nil
	case "true":
		return endWith(SuspendedOrganization, "organization %q is suspended", c.organization.id)
	}
	return endWith(InvalidRecord, "organization %q: %s is neither true nor false: %w", c.organization.id, schema.IsSuspended, schema.ErrInvalidRecord)
}

// of returns the answer for records of kind.
func (c correlation) of(kind schema.Kind) found {
	switch kind {
	case schema.Organization:
		return c.organization
	case schema.User:
		return c.user
	}
	return c.application
}

// unavailable returns why a record that was looked up isn't known well enough
// to issue a token by it, or nil.
func (c correlation) unavailable() error {
	return cmp.Or(c.application.err, c.organization.err, c.user.err)
}
