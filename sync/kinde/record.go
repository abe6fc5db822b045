package kinde

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"m2m-token-enricher/schema"
)

// ApplicationProperties returns the properties of the application whose client
// id is id. The error wraps ErrNotFound if it doesn't exist.
func (c *Client) ApplicationProperties(ctx context.Context, id string) (schema.Record, error) {
	return c.record(schema.Application, id, func() (schema.Record, error) { return c.properties(ctx, schema.Application, id) })
}

// Organization returns the organization with code: its fields code, name, handle,
// external_id and is_suspended, and its properties. A property never replaces a
// field of its name, not even an absent one. The error wraps ErrNotFound if the
// organization doesn't exist.
func (c *Client) Organization(ctx context.Context, code string) (schema.Record, error) {
	return c.record(schema.Organization, code, func() (schema.Record, error) { return c.organization(ctx, code) })
}

// User returns the user with id: its fields id, email, first_name, last_name and,
// if the tenant has it, is_suspended, and its properties, as Organization does.
func (c *Client) User(ctx context.Context, id string) (schema.Record, error) {
	return c.record(schema.User, id, func() (schema.Record, error) { return c.user(ctx, id) })
}

// record calls read, and adds kind and id to its error.
func (c *Client) record(kind schema.Kind, id string, read func() (schema.Record, error)) (schema.Record, error) {
	if id == "" || isDots(id) {
		return nil, fmt.Errorf("%s %q: not an identifier", kind, id)
	}
	record, err := read()
	if err == nil {
		return record, nil
	}
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusNotFound && r.api {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return nil, c.withoutSecrets(fmt.Errorf("%s %q: %w", kind, id, err))
}

// isDots reports whether id would change the path that it is in.
func isDots(id string) bool { return id == "." || id == ".." }

func (c *Client) organization(ctx context.Context, code string) (schema.Record, error) {
	var answer struct {
		Code        string `json:"code"`
		Name        string `json:"name"`
		Handle      string `json:"handle"`
		ExternalID  string `json:"external_id"`
		IsSuspended *bool  `json:"is_suspended"`
	}
	if err := c.get(ctx, "/api/v1/organization", url.Values{"code": {code}}, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.Code != code:
		return nil, errors.New("the answer isn't about it")
	case answer.IsSuspended == nil: // a wrong guess would give its applications tokens
		return nil, errors.New("the answer doesn't say is_suspended")
	}
	return c.complete(ctx, schema.Organization, code, fields{
		schema.OrganizationCode: answer.Code,
		"name":                  answer.Name,
		"handle":                answer.Handle,
		"external_id":           answer.ExternalID,
		schema.IsSuspended:      strconv.FormatBool(*answer.IsSuspended),
	})
}

func (c *Client) user(ctx context.Context, id string) (schema.Record, error) {
	var answer struct {
		ID          string `json:"id"`
		Email       string `json:"preferred_email"`
		FirstName   string `json:"first_name"`
		LastName    string `json:"last_name"`
		IsSuspended *bool  `json:"is_suspended"`
	}
	if err := c.get(ctx, "/api/v1/user", url.Values{"id": {id}}, &answer); err != nil {
		return nil, err
	}
	if answer.ID != id {
		return nil, errors.New("the answer isn't about it")
	}
	suspended := ""
	if answer.IsSuspended != nil {
		suspended = strconv.FormatBool(*answer.IsSuspended)
	}
	return c.complete(ctx, schema.User, id, fields{
		schema.UserID:      answer.ID,
		"email":            answer.Email,
		"first_name":       answer.FirstName,
		"last_name":        answer.LastName,
		schema.IsSuspended: suspended,
	})
}

// fields are all fields of a record apart from its properties. An empty one is
// absent.
type fields map[string]string

// complete returns a record's properties and its own fields.
func (c *Client) complete(ctx context.Context, kind schema.Kind, id string, own fields) (schema.Record, error) {
	record, err := c.properties(ctx, kind, id)
	if err != nil {
		return nil, &unreadProperties{err, c.suspended(kind, own, ambiguous(err))}
	}
	return c.withinLimits(kind, id, record, own, slices.Sorted(maps.Keys(own))), nil
}

// suspended returns what own says of a suspension. If the name of one of the
// properties may be taken for it, its true counts, too: when in doubt, an
// organization gets no tokens.
func (c *Client) suspended(kind schema.Kind, own fields, properties schema.Record) string {
	for name, text := range properties {
		if value, _ := schema.Boolean(text); value && c.Names.Meant(kind, name) == schema.IsSuspended {
			return "true"
		}
	}
	return own[schema.IsSuspended]
}

// unreadProperties is the error of a record whose properties can't be read.
type unreadProperties struct {
	error
	suspended string // "true", "false", or "" if unknown
}

func (e *unreadProperties) Unwrap() error { return e.error }

// knownProperties returns what is known of a record despite err.
func knownProperties(err error) schema.Record {
	if u, ok := errors.AsType[*unreadProperties](err); ok && u.suspended != "" && !errors.Is(err, errTenant) {
		return schema.Record{schema.IsSuspended: u.suspended}
	}
	return nil
}

// withinLimits returns record with its own fields, without what is too large for
// Redis: whoever can set a name or a property mustn't stop the record, nor any
// other. It warns of what it leaves out, by name. The fields that identify the
// record and say whether it is suspended always fit. If there are too many
// properties, it keeps those in first, and then the first by name.
func (c *Client) withinLimits(kind schema.Kind, id string, record schema.Record, own fields, first []string) schema.Record {
	for key, value := range own {
		delete(record, key) // a property never replaces a field, not even an absent one
		switch {
		case len(value) > schema.MaxPropertySize:
			c.warnLeftOut(kind, id, key)
		case value != "":
			record[key] = value
		}
	}
	excess := len(record) - schema.MaxProperties
	if excess <= 0 {
		return record
	}
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(record)), func(key string) bool { return slices.Contains(first, key) })
	last := order[len(order)-excess:]
	for _, key := range last {
		delete(record, key)
	}
	c.warnf("%s %q has %d properties, more than %d: %q and those after it by name are left out", kind, id, schema.MaxProperties+excess, schema.MaxProperties, last[0])
	return record
}

func (c *Client) warnLeftOut(kind schema.Kind, id, key string) {
	what := fmt.Sprintf("%q has more than %d bytes", key, schema.MaxPropertySize)
	if len(key) > schema.MaxNameSize {
		what = fmt.Sprintf("a name of more than %d bytes, %.40q…,", schema.MaxNameSize, key)
	}
	c.warnf("%s %q: %s and is left out", kind, id, what)
}
