package kinde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"m2m-token-enricher/schema"
)

// maxPropertyPages is how many pages the properties of one record may have. They
// are read into memory, so they must end.
const maxPropertyPages = 100

// propertyPage is a part of the properties of one record.
type propertyPage struct {
	Properties json.RawMessage `json:"properties"` // a list, or null if there are none
	Next       string          `json:"next_token"`
}

type property struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a string or null
}

// properties returns the properties of the record id of kind, from all their pages.
// If a name may be taken for one with a meaning, the error is an *ambiguousNames.
func (c *Client) properties(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	path := "/api/v1/" + string(kind) + "s/" + url.PathEscape(id) + "/properties"
	record, seen, query := schema.Record{}, cursors{}, url.Values{}
	for range maxPropertyPages {
		var page propertyPage
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		tooLong, err := page.addTo(record)
		if err != nil {
			return nil, err
		}
		for _, key := range tooLong {
			c.warnLeftOut(kind, id, key)
		}
		if page.Next == "" {
			if err := c.Names.Check(kind, record); err != nil {
				return nil, &ambiguousNames{err, record}
			}
			return record, nil
		}
		if err := seen.add(page.Next); err != nil {
			return nil, fmt.Errorf("properties: %w", err)
		}
		query.Set("next_token", page.Next)
	}
	return nil, fmt.Errorf("properties: more than %d pages", maxPropertyPages)
}

// ambiguousNames is the error of a record that has properties whose names may be
// taken for one with a meaning.
type ambiguousNames struct {
	error
	properties schema.Record
}

func (e *ambiguousNames) Unwrap() error { return e.error }

// ambiguous returns the properties of a record whose error is that, nil for another
// error.
func ambiguous(err error) schema.Record {
	if a, ok := errors.AsType[*ambiguousNames](err); ok {
		return a.properties
	}
	return nil
}

// addTo adds the properties to record, without those that are null or empty. It
// returns the keys of those that are too long instead of adding them: whoever can
// set one property mustn't stop the others. An error names the key and never
// shows the value.
func (p *propertyPage) addTo(record schema.Record) (tooLong []string, err error) {
	if p.Properties == nil {
		return nil, errors.New("the answer doesn't list the properties")
	}
	var list []property
	if err := json.Unmarshal(p.Properties, &list); err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	for i, property := range list {
		value, isText := property.Value.(string)
		earlier, twice := record[property.Key]
		switch {
		case property.Key == "":
			return nil, fmt.Errorf("properties[%d] has no key", i)
		case !isText && property.Value != nil:
			return nil, fmt.Errorf("property %.300q: the value is neither a string nor null", property.Key)
		case len(value) > schema.MaxPropertySize || len(property.Key) > schema.MaxNameSize:
			tooLong = append(tooLong, property.Key)
		case twice && earlier != value:
			return nil, fmt.Errorf("property %q: listed twice with different values", property.Key)
		case value != "":
			record[property.Key] = value
		}
	}
	return tooLong, nil
}
