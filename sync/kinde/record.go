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
	"strings"

	"m2m-token-enricher/schema"
)

// maxPropertyPages is how many pages the properties of one record may have.
// They are read into memory, so that a tenant mustn't go on for ever.
const maxPropertyPages = 100

// ApplicationProperties returns the properties of the application with the
// client id id. The error wraps ErrNotFound if there is no such application.
func (c *Client) ApplicationProperties(ctx context.Context, id string) (schema.Record, error) {
	return c.record("application", id, func() (schema.Record, error) { return c.properties(ctx, "applications", id) })
}

// Organization returns the organization that code names: its fields code,
// name, handle, external_id and is_suspended, and its properties. A property
// never stands for a field of its name, not even for one that is absent. The
// error wraps ErrNotFound if there is no such organization.
func (c *Client) Organization(ctx context.Context, code string) (schema.Record, error) {
	return c.record("organization", code, func() (schema.Record, error) { return c.organization(ctx, code) })
}

// User returns the user that id names: its fields id, email, first_name,
// last_name and, if the tenant says, is_suspended, and its properties. A
// property never stands for a field of its name, not even for one that is
// absent. The error wraps ErrNotFound if there is no such user.
func (c *Client) User(ctx context.Context, id string) (schema.Record, error) {
	return c.record("user", id, func() (schema.Record, error) { return c.user(ctx, id) })
}

// record returns what read reads: the record of kind that id names.
func (c *Client) record(kind, id string, read func() (schema.Record, error)) (schema.Record, error) {
	if id == "" || leadsElsewhere(id) {
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

// leadsElsewhere tells whether id, in a path, would be another path.
func leadsElsewhere(id string) bool { return id == "." || id == ".." }

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
	case answer.IsSuspended == nil: // no guess: its applications would get tokens
		return nil, errors.New("the answer doesn't say is_suspended")
	}
	return c.complete(ctx, "organizations", code, fields{
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
	return c.complete(ctx, "users", id, fields{
		schema.UserID:      answer.ID,
		"email":            answer.Email,
		"first_name":       answer.FirstName,
		"last_name":        answer.LastName,
		schema.IsSuspended: suspended,
	})
}

// fields are all the fields of its own that a record can have. Those that are
// empty are absent, which is why they are here.
type fields map[string]string

// complete returns the properties of a record together with its own fields.
func (c *Client) complete(ctx context.Context, collection, id string, own fields) (schema.Record, error) {
	record, err := c.properties(ctx, collection, id)
	if err != nil {
		return nil, &unreadProperties{err, own[schema.IsSuspended]}
	}
	return c.fit(strings.TrimSuffix(collection, "s"), id, record, own, slices.Sorted(maps.Keys(own))), nil
}

// unreadProperties is why a record can't be read of which is known whether it is
// suspended.
type unreadProperties struct {
	error
	suspended string // "true", "false", or "" if that isn't known
}

func (e *unreadProperties) Unwrap() error { return e.error }

// knownOf returns what is known of a record that couldn't be read because of err.
func knownOf(err error) schema.Record {
	if u, ok := errors.AsType[*unreadProperties](err); ok && u.suspended != "" && !errors.Is(err, errTenant) {
		return schema.Record{schema.IsSuspended: u.suspended}
	}
	return nil
}
