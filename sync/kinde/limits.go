package kinde

import (
	"fmt"
	"maps"
	"slices"

	"m2m-token-enricher/schema"
)

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
