package expression

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"
)

// appendJSON appends a value of CEL as JSON. The keys of maps are in their order.
func appendJSON(text []byte, value ref.Val, depth int) (_ []byte, err error) {
	if depth > maxDepth {
		return nil, errTooLarge
	}
	switch v := value.(type) {
	case types.String:
		if text, err = jsontext.AppendQuote(text, string(v)); err != nil {
			return nil, errors.New("a string that isn't UTF-8")
		}
	case types.Bool:
		text = strconv.AppendBool(text, bool(v))
	case types.Int:
		text = strconv.AppendInt(text, int64(v), 10)
	case types.Uint:
		text = strconv.AppendUint(text, uint64(v), 10)
	case types.Double:
		if !finite(float64(v)) {
			return nil, errNoJSON
		}
		text = append(text, jsontext.Float(float64(v)).String()...)
	case types.Null:
		text = append(text, "null"...)
	case traits.Mapper:
		text, err = appendMap(text, v, depth)
	case traits.Lister:
		text, err = appendList(text, v, depth)
	default:
		return nil, errNoJSON
	}
	if err == nil && len(text) > MaxResultSize {
		err = errTooLarge
	}
	return text, err
}

func appendList(text []byte, list traits.Lister, depth int) (_ []byte, err error) {
	text = append(text, '[')
	first := len(text)
	for it := list.Iterator(); it.HasNext() == types.True; {
		if len(text) > first {
			text = append(text, ',')
		}
		if text, err = appendJSON(text, it.Next(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(text, ']'), nil
}

func appendMap(text []byte, m traits.Mapper, depth int) (_ []byte, err error) {
	if n, ok := m.Size().(types.Int); !ok || n > MaxResultSize {
		return nil, errTooLarge
	}
	var keys []types.String
	for it := m.Iterator(); it.HasNext() == types.True; {
		key, ok := it.Next().(types.String)
		if !ok {
			return nil, errors.New("a map with a key that isn't a string")
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, cmp.Compare[types.String])
	text = append(text, '{')
	for i, key := range keys {
		if i > 0 {
			text = append(text, ',')
		}
		if text, err = appendJSON(text, key, depth+1); err != nil {
			return nil, err
		}
		text = append(text, ':')
		if text, err = appendJSON(text, m.Get(key), depth+1); err != nil {
			return nil, err
		}
	}
	return append(text, '}'), nil
}
