package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/neighbours"
)

// configured are names that a configuration gives a meaning.
var configured = schema.Names{schema.Application: {"org_code"}, schema.Organization: {"plan"}}

// meant is a name with a meaning in a kind of record.
type meant struct {
	kind schema.Kind
	name string
}

var meantNames = []meant{
	{schema.Organization, "is_suspended"}, {schema.Organization, "code"}, {schema.User, "id"}, {schema.Organization, "plan"}, {schema.Application, "org_code"},
}

// waysIn read one property of a record from each form in which it can be given.
var waysIn = map[string]func(m meant, property string) (Entry, error){
	"CSV": func(m meant, property string) (Entry, error) {
		if strings.ContainsAny(property, "\t\r\n\"") {
			property = `"` + strings.ReplaceAll(property, `"`, `""`) + `"`
		}
		e, _, err := CSVRows(strings.NewReader("id,"+property+"\no,true\n"), m.kind, configured).Next()
		return e, err
	},
	"JSON lines": func(m meant, property string) (Entry, error) {
		e, _, err := JSONRows(bytes.NewReader(asJSON(property)), m.kind, configured).Next()
		return e, err
	},
	"JSON": func(m meant, property string) (Entry, error) { return ParseEntry(asJSON(property), m.kind, configured) },
}

func asJSON(property string) []byte {
	line, err := json.Marshal(Entry{"o", schema.Record{property: "true"}})
	if err != nil {
		panic(err)
	}
	return line
}

// TestNearMisses: no name beside one with a meaning gets in through a row.
func TestNearMisses(t *testing.T) {
	for way, read := range waysIn {
		for _, m := range meantNames {
			for _, property := range neighbours.Of(m.name, 200) {
				if e, err := read(m, property); err == nil {
					t.Errorf("%s: %q became %v, want an error that names %q", way, property, e.Properties, m.name)
				} else if !strings.Contains(err.Error(), `"`+m.name+`"`) {
					t.Errorf("%s: the error of %q is %q, want %q in it", way, property, err, m.name)
				}
			}
			if e, err := read(m, m.name); err != nil && m.name != "id" || err == nil && e.Properties[m.name] != "true" {
				t.Errorf("%s: %q became %v, %v, want it", way, m.name, e.Properties, err)
			}
		}
	}
}

// FuzzWaysIn: a property that is read has no name beside one with a meaning.
func FuzzWaysIn(f *testing.F) {
	for seed := range uint64(32) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		m := meantNames[r.IntN(len(meantNames))]
		property := neighbours.Edit(r, m.name)
		for way, read := range waysIn {
			if e, err := read(m, property); err == nil && property != m.name {
				t.Errorf("%s: %q became %v, want an error that names %q", way, property, e.Properties, m.name)
			}
		}
	})
}

// TestNearMissesSet: a command can't set a name beside one with a meaning. It can
// set a suspension, and remove the name, in a record that has one from earlier.
func TestNearMissesSet(t *testing.T) {
	server, s := start(t)
	s.names = configured
	for _, m := range meantNames {
		for _, property := range neighbours.Of(m.name, 20) {
			if _, err := s.Patch(t.Context(), m.kind, "o", schema.Record{property: "true"}, nil, Write); !errors.Is(err, schema.ErrInvalidRecord) {
				t.Errorf("Patch(%s, %q) = %v, want ErrInvalidRecord", m.kind, property, err)
			}
			if _, err := s.Put(t.Context(), m.kind, []Entry{{"o", schema.Record{property: "true"}}}, Write); !errors.Is(err, schema.ErrInvalidRecord) {
				t.Errorf("Put(%s, %q) = %v, want ErrInvalidRecord", m.kind, property, err)
			}
		}
	}
	hset(t, server.Client(), prefix+"org:o", "code", "o", "Is_Suspended", "true", "PLAN", "gold")
	for _, set := range []schema.Record{{"is_suspended": "TRUE"}, {"plan": "free"}} {
		if _, err := s.Patch(t.Context(), schema.Organization, "o", set, nil, Write); err != nil {
			t.Errorf("Patch(%v) = %v, want nil", set, err)
		}
	}
	if _, err := s.Patch(t.Context(), schema.Organization, "o", nil, []string{"Is_Suspended"}, Write); err != nil {
		t.Errorf("got %v, want the name removed", err)
	}
	want := schema.Record{"code": "o", "is_suspended": "true", "plan": "free", "PLAN": "gold"}
	if got := stored(t, server.Client(), prefix+"org:o"); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
