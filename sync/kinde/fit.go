package kinde

import (
	"fmt"
	"maps"
	"slices"

	"m2m-token-enricher/schema"
)

// fit returns record with its own fields, as far as Redis can keep it: who may
// set a name or a property must not stop the record, nor any other. What is left
// out is warned of by its name. The fields that say which record it is and
// whether it is suspended always fit. If there are too many properties, those in
// first stay, in this order, and then the first by name.
func (c *Client) fit(kind, id string, record schema.Record, own fields, first []string) schema.Record {
	for key, value := range own {
		delete(record, key) // a property never stands for a field, not even for one that is left out
		switch {
		case len(value) > schema.MaxPropertySize:
			c.warnLeftOut(kind, id, key)
		case value != "":
			record[key] = value
		}
	}
	over := len(record) - schema.MaxProperties
	if over <= 0 {
		return record
	}
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(record)), func(key string) bool { return slices.Contains(first, key) })
	left := order[len(order)-over:]
	for _, key := range left {
		delete(record, key)
	}
	c.warn(fmt.Sprintf("%s %q has %d properties, more than %d: %q and those after it by name are left out", kind, id, schema.MaxProperties+over, schema.MaxProperties, left[0]))
	return record
}

func (c *Client) warnLeftOut(kind, id, key string) {
	what := fmt.Sprintf("%q has more than %d bytes", key, schema.MaxPropertySize)
	if len(key) > schema.MaxNameSize {
		what = fmt.Sprintf("a name of more than %d bytes, %.40q…,", schema.MaxNameSize, key)
	}
	c.warn(fmt.Sprintf("%s %q: %s and is left out", kind, id, what))
}
