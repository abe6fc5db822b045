package expression

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"m2m-token-enricher/schema"
)

// claimTypes are the types of claims, in the order in which they are suggested.
var claimTypes = []string{schema.TypeString, schema.TypeNumber, schema.TypeBoolean, schema.TypeStrings, schema.TypeJSON}

// checkType returns an error unless a value of the type given can be a claim of type
// typ. Types that are only known when the expression is evaluated pass.
func checkType(typ string, given *cel.Type) error {
	if fits(typ, given) {
		return nil
	}
	for _, other := range claimTypes {
		if fits(other, given) {
			return fmt.Errorf("gives %s, but type is %s; set type: %s", given, typ, other)
		}
	}
	return fmt.Errorf("gives %s, but type is %s; no claim can be %s", given, typ, given)
}

func fits(typ string, given *cel.Type) bool {
	switch kind := given.Kind(); {
	case kind == types.DynKind, kind == types.TypeParamKind:
		return true
	case typ == schema.TypeNumber:
		return kind == types.IntKind || kind == types.UintKind || kind == types.DoubleKind
	case typ == schema.TypeBoolean:
		return kind == types.BoolKind
	case typ == schema.TypeStrings:
		return kind == types.ListKind && fits(schema.TypeString, given.Parameters()[0])
	case typ == schema.TypeJSON:
		return fitsJSON(given)
	}
	return given.Kind() == types.StringKind
}

func fitsJSON(given *cel.Type) bool {
	switch given.Kind() {
	case types.ListKind:
		return fits(schema.TypeJSON, given.Parameters()[0])
	case types.MapKind:
		return fits(schema.TypeString, given.Parameters()[0]) && fits(schema.TypeJSON, given.Parameters()[1])
	case types.NullTypeKind:
		return true
	}
	return fits(schema.TypeString, given) || fits(schema.TypeNumber, given) || fits(schema.TypeBoolean, given)
}

// isOfType reports whether a value, which JSON has, is of the claim type typ.
func isOfType(typ string, value ref.Val) bool {
	switch typ {
	case schema.TypeNumber:
		switch value.(type) {
		case types.Int, types.Uint, types.Double:
			return true
		}
		return false
	case schema.TypeBoolean:
		_, ok := value.(types.Bool)
		return ok
	case schema.TypeStrings:
		list, ok := value.(traits.Lister)
		return ok && onlyStrings(list)
	case schema.TypeJSON:
		return true
	}
	_, ok := value.(types.String)
	return ok
}

func onlyStrings(list traits.Lister) bool {
	for it := list.Iterator(); it.HasNext() == types.True; {
		if _, ok := it.Next().(types.String); !ok {
			return false
		}
	}
	return true
}
