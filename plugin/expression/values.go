package expression

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Event is what an expression learns of an exchange beside its records and its token.
type Event struct {
	Audience, Scope []string // of the verified token; never nil
	IP              string   // of the client, "" if unknown
	Domain          string   // the provider's issuer without a slash at its end
	ClientID        string   // of the verified token
}

// trigger is Kinde's name for what starts an exchange.
const trigger = "m2m:token_generation"

// Values are what the expressions of one exchange read. Each is converted when it is
// first read. Not safe for concurrent use.
type Values struct {
	token   *splice.Object
	event   Event
	records func(schema.Kind) schema.Record
	known   map[string]ref.Val
}

// NewValues returns the values of an exchange: the claims of its verified token, and
// the record of each kind, which may be nil.
func NewValues(event Event, token *splice.Object, records func(schema.Kind) schema.Record) *Values {
	return &Values{token: token, event: event, records: records, known: map[string]ref.Val{}}
}

// Parent implements [cel.Activation].
func (v *Values) Parent() cel.Activation { return nil }

// ResolveName implements [cel.Activation].
func (v *Values) ResolveName(name string) (any, bool) {
	if value, ok := v.known[name]; ok {
		return value, true
	}
	if variables[name] == nil {
		return nil, false
	}
	value := v.variable(name)
	v.known[name] = value
	return value, true
}

func (v *Values) variable(name string) ref.Val {
	switch name {
	case eventAudience:
		return texts(v.event.Audience)
	case eventScope:
		return texts(v.event.Scope)
	case eventIP:
		return types.String(v.event.IP)
	case eventDomain:
		return types.String(v.event.Domain)
	case eventClientID:
		return types.String(v.event.ClientID)
	case eventTrigger:
		return types.String(trigger)
	case string(schema.Token):
		return newObject(v.token.Members(), 0)
	}
	return newRecord(v.records(schema.Kind(name)))
}

// texts returns a list of the event. It is limited as a claim of the token is, because
// it comes from one.
func texts(list []string) ref.Val {
	size := len(list) // for what separates them
	for _, text := range list {
		size += len(text)
	}
	if size > MaxClaimSize {
		return types.WrapErr(errTooLarge)
	}
	return types.NewStringList(types.DefaultTypeAdapter, list)
}

// record is a map of properties whose keys have an order, so an expression gives the
// same each time.
type record struct {
	traits.Mapper
	properties map[string]string
}

// newRecord returns the properties of r that aren't empty.
func newRecord(r schema.Record) record {
	properties := map[string]string(r)
	for _, value := range r {
		if value == "" {
			properties = withoutEmpty(r)
			break
		}
	}
	return record{types.NewStringStringMap(types.DefaultTypeAdapter, properties), properties}
}

func withoutEmpty(r schema.Record) map[string]string {
	kept := map[string]string{}
	for name, value := range r {
		if value != "" {
			kept[name] = value
		}
	}
	return kept
}

// Iterator implements [traits.Iterable].
func (r record) Iterator() traits.Iterator {
	keys := make([]string, 0, len(r.properties))
	for name := range r.properties {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return types.NewStringList(types.DefaultTypeAdapter, keys).Iterator()
}
