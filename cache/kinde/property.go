package kinde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

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
		if err := page.addTo(record); err != nil {
			return nil, err
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

// addTo adds the properties to record, but for those that are null or empty:
// they are absent. An error names the key, and never shows the value.
func (p *propertyPage) addTo(record schema.Record) error {
	for i, property := range p.Properties.all {
		value, isText := property.Value.(string)
		earlier, twice := record[property.Key]
		switch {
		case property.Key == "":
			return fmt.Errorf("properties[%d] has no key", i)
		case !isText && property.Value != nil:
			return fmt.Errorf("property %q: the value is neither a string nor null", property.Key)
		case len(value) > schema.MaxPropertySize:
			return fmt.Errorf("property %q: the value has more than %d bytes", property.Key, schema.MaxPropertySize)
		case twice && earlier != value:
			return fmt.Errorf("property %q: given twice, and not alike", property.Key)
		case value != "":
			record[property.Key] = value
		}
	}
	return nil
}
