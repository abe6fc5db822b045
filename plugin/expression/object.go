package expression

import (
	"errors"
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
)

// object is a JSON object as a map of CEL. A member that is null or an empty string is
// missing, as for the other sources of claims. Each member is converted once.
type object struct {
	members []splice.Member
	index   map[string]int // of members, nil if they are few
	values  map[string]ref.Val
	depth   int // of the object in its token
}

// few is how many members are found faster one by one.
const few = 16

func newObject(members []splice.Member, depth int) *object {
	o := &object{members: make([]splice.Member, 0, len(members)), values: map[string]ref.Val{}, depth: depth}
	for _, m := range members {
		if m.Value.Kind() != 'n' && string(m.Value) != `""` {
			o.members = append(o.members, m)
		}
	}
	if len(o.members) > few {
		o.index = make(map[string]int, len(o.members))
		for i, m := range o.members {
			o.index[m.Name] = i
		}
	}
	return o
}

// at returns the index of the member called name, -1 if there is none.
func (o *object) at(name string) int {
	if o.index == nil {
		return slices.IndexFunc(o.members, func(m splice.Member) bool { return m.Name == name })
	}
	if i, ok := o.index[name]; ok {
		return i
	}
	return -1
}

// Find implements [traits.Mapper].
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	value, ok := o.values[string(name)]
	if !ok {
		i := o.at(string(name))
		if i < 0 {
			return nil, false
		}
		value = fromJSON(o.members[i].Value, o.depth+1)
		o.values[string(name)] = value
	}
	return value, !types.IsError(value)
}

// Contains implements [traits.Container].
func (o *object) Contains(key ref.Val) ref.Val {
	value, found := o.Find(key)
	if types.IsError(value) {
		return value
	}
	return types.Bool(found)
}

// Get implements [traits.Indexer].
func (o *object) Get(key ref.Val) ref.Val {
	value, _ := o.Find(key)
	if value == nil {
		return types.NewErr("no such key")
	}
	return value
}

// Iterator implements [traits.Iterable]. The members have the token's order.
func (o *object) Iterator() traits.Iterator {
	names := make([]string, len(o.members))
	for i, m := range o.members {
		names[i] = m.Name
	}
	return types.NewStringList(types.DefaultTypeAdapter, names).Iterator()
}

// Size implements [traits.Sizer].
func (o *object) Size() ref.Val { return types.Int(len(o.members)) }

// Equal implements [ref.Val].
func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	for it := o.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		theirs, found := m.Find(key)
		if !found || types.Equal(o.Get(key), theirs) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType implements [ref.Val].
func (o *object) ConvertToType(typ ref.Type) ref.Val {
	switch typ {
	case types.MapType:
		return o
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("no such conversion")
}

// ConvertToNative implements [ref.Val].
func (o *object) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("no such conversion")
}

// Type implements [ref.Val].
func (o *object) Type() ref.Type { return types.MapType }

// Value implements [ref.Val].
func (o *object) Value() any { return o.members }

// fromJSON returns a JSON value at a depth in its token as a value of CEL, or an error
// of CEL.
func fromJSON(value jsontext.Value, depth int) ref.Val {
	if len(value) > MaxClaimSize || depth > maxDepth {
		return types.WrapErr(errTooLarge)
	}
	switch value.Kind() {
	case 'n':
		return types.NullValue
	case 't', 'f':
		return types.Bool(value.Kind() == 't')
	case '"':
		if text, ok := splice.Text(value); ok {
			return types.String(text)
		}
	case '0':
		return number(string(value))
	case '[':
		if elements, err := splice.Elements(value); err == nil {
			return list(elements, depth)
		}
	case '{':
		if inner, err := splice.Parse(value); err == nil {
			return newObject(inner.Members(), depth)
		}
	}
	return types.WrapErr(errNoJSON)
}

func list(elements []jsontext.Value, depth int) ref.Val {
	values := make([]ref.Val, len(elements))
	for i, element := range elements {
		values[i] = fromJSON(element, depth+1)
		if types.IsError(values[i]) {
			return values[i]
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, values)
}
