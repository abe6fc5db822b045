package fetch

import (
	"maps"
	"slices"

	"m2m-token-enricher/schema"
)

// dummyToken is the answer of the token endpoint. The library sends its token with
// each request; nobody reads it.
var dummyToken = map[string]any{
	"access_token": "not-a-token-the-gateway-answers-from-its-records",
	"token_type":   "bearer",
	"expires_in":   86400,
}

// answer is a response of the management API: the members of every one, and its own.
func answer(own map[string]any) map[string]any {
	own["code"], own["message"] = "OK", "Success"
	return own
}

// list is a response with the only page of a list.
func list(own map[string]any) map[string]any {
	own["next_token"], own["has_more"] = nil, false
	return answer(own)
}

func (q question) application() (any, error) {
	record, err := q.own(schema.Application)
	if err != nil {
		return nil, err
	}
	application := fields(record, []string{"name", "type", "login_uri", "homepage_uri", "logout_uri"}, []string{"has_cancel_button"})
	application["id"], application["client_id"] = q.id, q.id
	if application["type"] == nil {
		application["type"] = "m2m"
	}
	return answer(map[string]any{"application": application}), nil
}

func (q question) applicationProperties() (any, error) {
	record, err := q.own(schema.Application)
	if err != nil {
		return nil, err
	}
	values := properties(record)
	return list(map[string]any{"properties": values, "appProperties": values}), nil
}

func (q question) organization() (any, error) {
	record, err := q.own(schema.Organization)
	if err != nil {
		return nil, err
	}
	return organization(q.id, record), nil
}

func (q question) organizations() (any, error) {
	id, record, err := q.related(schema.Organization)
	if err != nil {
		return nil, err
	}
	found := []any{}
	if id != "" {
		found = append(found, organization(id, record))
	}
	return list(map[string]any{"organizations": found}), nil
}

func organization(code string, record schema.Record) map[string]any {
	o := fields(record, []string{"name", "handle", "external_id", "created_on", "sender_name", "sender_email"}, []string{"is_default", schema.IsSuspended, "is_auto_membership_enabled"})
	o["code"] = code
	return o
}

func (q question) organizationProperties() (any, error) { return q.properties(schema.Organization) }

func (q question) user() (any, error) {
	record, err := q.own(schema.User)
	if err != nil {
		return nil, err
	}
	u := fields(record, []string{"preferred_email", "provided_id", "username", "first_name", "last_name", "picture", "phone", "created_on"}, []string{schema.IsSuspended})
	u["id"] = q.id
	if email := record["email"]; u["preferred_email"] == nil && email != "" {
		u["preferred_email"] = email // as the synchronization names it
	}
	return u, nil
}

func (q question) userProperties() (any, error) { return q.properties(schema.User) }

func (q question) properties(kind schema.Kind) (any, error) {
	record, err := q.own(kind)
	if err != nil {
		return nil, err
	}
	return list(map[string]any{"properties": properties(record)}), nil
}

// fields returns the members of an answer that are properties of the same name, as
// texts and as booleans. What the record doesn't have, or what isn't a boolean, is null.
func fields(record schema.Record, texts, booleans []string) map[string]any {
	members := map[string]any{}
	for _, name := range texts {
		members[name] = nil
		if record[name] != "" {
			members[name] = record[name]
		}
	}
	for _, name := range booleans {
		members[name] = nil
		if value, ok := schema.Boolean(record[name]); ok {
			members[name] = value
		}
	}
	return members
}

type property struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Key         string  `json:"key"`
	Value       string  `json:"value"`
}

// properties returns all properties of record, by name.
func properties(record schema.Record) []property {
	values := make([]property, 0, len(record))
	for _, name := range slices.Sorted(maps.Keys(record)) {
		if record[name] != "" {
			values = append(values, property{"prop_" + name, name, nil, name, record[name]})
		}
	}
	return values
}
