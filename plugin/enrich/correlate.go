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

// lookup is a record that an exchange may need.
type lookup struct {
	identifier
	done   bool // it was looked up, if anything names it
	record schema.Record
	err    error
}

// identifier is what names a record.
type identifier struct {
	id      string      // "" if nothing names one
	from    schema.Kind // the kind of the source that has it
	invalid error       // why it can't be an identifier
}

func (l lookup) is(sentinel error) bool { return errors.Is(l.err, sentinel) }

// correlation is an application with the organization and the user that its
// properties or its token name.
type correlation struct {
	application, organization, user lookup
}

// correlate looks up the records that claims need, and ends the exchange if they
// don't allow a token. If Redis doesn't answer, the exchange continues: the records
// that are known may be reason enough to refuse.
func (e *Enricher) correlate(ctx context.Context, clientID string, claims jws.Claims) (correlation, error) {
	var c correlation
	c.application = e.lookUp(ctx, schema.Application, identifier{id: clientID})
	if c.application.is(schema.ErrNoRecord) {
		return c, &verdict{UnknownApplication, c.application.err}
	}
	c.organization.identifier = e.named(e.cfg.Organization, c.application, claims)
	c.user.identifier = e.named(e.cfg.User, c.application, claims)
	for _, kind := range []schema.Kind{schema.Organization, schema.User} {
		if e.cfg.Uses(kind) {
			e.relate(ctx, &c, kind)
		}
	}
	return c, c.check()
}

func (e *Enricher) lookUp(ctx context.Context, kind schema.Kind, named identifier) lookup {
	l := lookup{identifier: named, done: true}
	if schema.ValidID(l.id) {
		l.record, l.err = e.deps.Records.Record(ctx, kind, l.id)
	} else {
		l.err = fmt.Errorf("the %s's identifier is not %s: %w", kind, schema.IDForm, schema.ErrInvalidRecord)
	}
	return l
}

// named returns the first identifier that the sources of relation have. A claim
// that is null or empty is missing, as an empty property is.
func (e *Enricher) named(relation schema.Relation, application lookup, claims jws.Claims) identifier {
	for _, source := range relation.From {
		kind, key := schema.Source(source)
		if kind != schema.Token {
			if text := application.record[key]; text != "" {
				return identifier{id: text, from: kind}
			}
			continue
		}
		value := claims.Find(key)
		if blank(value) {
			continue
		}
		text, ok := splice.Text(value)
		if !ok {
			return identifier{from: kind, invalid: fmt.Errorf("the claim %q of the token is not a string: %w", key, schema.ErrInvalidRecord)}
		}
		return identifier{id: text, from: kind}
	}
	return identifier{}
}

// relate looks up the organization or the user, unless that is done. If the
// application is unavailable, so is what it names: its record might name another
// than the token.
func (e *Enricher) relate(ctx context.Context, c *correlation, kind schema.Kind) {
	l := &c.user
	if kind == schema.Organization {
		l = &c.organization
	}
	application := c.application.err
	switch {
	case l.done:
		return
	case l.invalid != nil, l.id == "":
		l.done, l.err = true, cmp.Or(application, l.invalid)
		return
	}
	*l = e.lookUp(ctx, kind, l.identifier)
	if l.from == schema.Token {
		l.err = cmp.Or(application, l.err)
	}
	l.err = cmp.Or(l.err, application)
}

// check ends the exchange if a record that was looked up doesn't allow a token.
func (c correlation) check() error {
	switch {
	case c.organization.is(schema.ErrNoRecord):
		return &verdict{UnknownOrganization, c.organization.err}
	case c.user.is(schema.ErrNoRecord):
		return &verdict{UnknownUser, c.user.err}
	}
	for _, l := range []lookup{c.application, c.organization, c.user} {
		if l.is(schema.ErrInvalidRecord) {
			return &verdict{InvalidRecord, l.err}
		}
	}
	return c.validate()
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

// relatedTo returns what answers the workflow's lookups. The first that ends the
// exchange sets ended, and is the answer to all that follow.
func (e *Enricher) relatedTo(ctx context.Context, records *correlation, ended *error) Related {
	return func(kind schema.Kind) (string, schema.Record, error) {
		if *ended == nil {
			*ended = e.complete(ctx, records, kind)
		}
		if *ended != nil {
			return "", nil, *ended
		}
		found := records.of(kind)
		return found.id, found.record, nil
	}
}

// complete looks up the record of kind if that hasn't happened yet, and ends the
// exchange if the record doesn't allow a token.
func (e *Enricher) complete(ctx context.Context, records *correlation, kind schema.Kind) error {
	if kind == schema.Organization || kind == schema.User {
		e.relate(ctx, records, kind)
	}
	if err := records.check(); err != nil {
		return err
	}
	if err := records.unavailable(); err != nil {
		return &verdict{LookupUnavailable, err}
	}
	return nil
}
