package kinde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"m2m-token-enricher/schema"
)

// propertyPage is a part of the properties of one record.
type propertyPage struct {
	Properties propertyList `json:"properties"`
	Next       string       `json:"next_token"`
}

// propertyList is the list in a page. One that is null has nothing in it; one
// that isn't there says nothing.
type propertyList struct {
	given bool
	all   []property
}

// UnmarshalJSON implements [json.Unmarshaler]. It is called for null, too.
func (l *propertyList) UnmarshalJSON(text []byte) error {
	l.given = true
	return json.Unmarshal(text, &l.all)
}

type property struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a string or null
}

// properties returns the properties of what id names in collection, from all
// their pages.
func (c *Client) properties(ctx context.Context, collection, id string) (schema.Record, error) {
	path := "/api/v1/" + collection + "/" + url.PathEscape(id) + "/properties"
	record, seen, query := schema.Record{}, cursors{}, url.Values{}
	for range maxPropertyPages {
		var page propertyPage
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		if !page.Properties.given {
			return nil, errors.New("the answer doesn't list the properties")
		}
		left, err := page.addTo(record)
		if err != nil {
			return nil, err
		}
		for _, key := range left {
			c.warnLeftOut(strings.TrimSuffix(collection, "s"), id, key)
		}
		if page.Next == "" {
			return record, nil
		}
		if err := seen.add(page.Next); err != nil {
			return nil, fmt.Errorf("properties: %w", err)
		}
		query.Set("next_token", page.Next)
	}
	return nil, fmt.Errorf("properties: more than %d pages", maxPropertyPages)
}

// addTo adds the properties to record, without those that are null or empty, as
// absent ones are, and those whose key or value is too long, whose keys it
// returns: whoever may set one property mustn't stop the others. An error names
// the key, and never shows the value.
func (p *propertyPage) addTo(record schema.Record) (left []string, err error) {
	for i, property := range p.Properties.all {
		value, isText := property.Value.(string)
		earlier, twice := record[property.Key]
		switch {
		case property.Key == "":
			return nil, fmt.Errorf("properties[%d] has no key", i)
		case !isText && property.Value != nil:
			return nil, fmt.Errorf("property %.300q: the value is neither a string nor null", property.Key)
		case len(value) > schema.MaxPropertySize || len(property.Key) > schema.MaxNameSize:
			left = append(left, property.Key)
		case twice && earlier != value:
			return nil, fmt.Errorf("property %q: given twice, and not alike", property.Key)
		case value != "":
			record[property.Key] = value
		}
	}
	return left, nil
}
