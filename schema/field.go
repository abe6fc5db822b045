package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Field describes one value of the configuration in Kong's schema language.
// It marshals to what Kong reads from the query command and unmarshals from
// it. It has only attributes that a real Kong 3.9 honours. Kong starts with every
// schema that decodes strictly.
type Field struct {
	Name          string        `json:"-"` // the key under which a record lists it
	Type          string        `json:"type"`
	Description   string        `json:"description,omitempty"` // 10 to 500 characters, or Kong doesn't start
	Required      bool          `json:"required,omitempty"`
	Default       any           `json:"default,omitempty"`
	OneOf         []string      `json:"one_of,omitempty"`
	Between       []float64     `json:"between,omitempty"`
	LenMin        *int          `json:"len_min,omitempty"` // nil refuses the empty string
	LenMax        int           `json:"len_max,omitempty"`
	StartsWith    string        `json:"starts_with,omitempty"`
	Referenceable bool          `json:"referenceable,omitempty"` // may be a {vault://...} reference
	Encrypted     bool          `json:"encrypted,omitempty"`
	Elements      *Field        `json:"elements,omitempty"`
	Keys          *Field        `json:"keys,omitempty"`   // of a map
	Values        *Field        `json:"values,omitempty"` // of a map
	Fields        Fields        `json:"fields,omitempty"`
	EntityChecks  []EntityCheck `json:"entity_checks,omitempty"`
	Reference     string        `json:"reference,omitempty"` // of a foreign field
	Eq            *null         `json:"eq,omitempty"`
}

// EntityCheck is a rule over several fields of one record. Exactly one member
// is set.
type EntityCheck struct {
	OnlyOneOf         []string `json:"only_one_of,omitempty"`
	AtLeastOneOf      []string `json:"at_least_one_of,omitempty"`
	MutuallyExclusive []string `json:"mutually_exclusive,omitempty"`
	MutuallyRequired  []string `json:"mutually_required,omitempty"`
}

// Fields are the fields of a record, in order. Kong writes each as an object
// of one member whose name is the field's.
type Fields []Field

// MarshalJSON implements [json.Marshaler].
func (fs Fields) MarshalJSON() ([]byte, error) {
	list := make([]map[string]Field, len(fs))
	for i, f := range fs {
		list[i] = map[string]Field{f.Name: f}
	}
	return json.Marshal(list)
}

// UnmarshalJSON implements [json.Unmarshaler]. An unknown attribute is an error, as
// for Kong.
func (fs *Fields) UnmarshalJSON(data []byte) error {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("fields: %w", err)
	}
	for _, member := range list {
		if len(member) != 1 {
			return errors.New("fields: an element must have exactly one member")
		}
		for name, raw := range member {
			f := Field{Name: name}
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&f); err != nil {
				return fmt.Errorf("field %q: %w", name, err)
			}
			*fs = append(*fs, f)
		}
	}
	return nil
}

// null marshals to JSON null. Kong needs an explicit null in eq to forbid a
// foreign key.
type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }
