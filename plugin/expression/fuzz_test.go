package expression

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// FuzzCompile: no source panics. What compiles gives the same JSON of its type each
// time, in bounded time, and reads no more than it says.
func FuzzCompile(f *testing.F) {
	for _, source := range []string{
		`organization.plan == "gold" ? "priority" : "standard"`, `has(user.name) ? user.name : token.ctx.org`, `organization[application.tier]`,
		`organization.map(k, organization[k]).join(",")`, `token.roles.filter(r, r != "ops")`, `int(organization.seats) * 2`, `{"a": [1, 2.5, null]}`,
		`sets.contains(event.request.auth.scope, ["read"])`, `math.greatest(token.ctx.level, 2)`, `"%s".format([token])`, `[organization][0].plan`,
		`organization.name.matches("(a*)*$")`, `[[1]].map(x, x + x)`, `.organization["pl" + "an"]`, `organization.name.replace("", organization.name)`,
	} {
		f.Add(source, uint8(len(source)))
	}
	f.Fuzz(func(t *testing.T, source string, n uint8) {
		typ := claimTypes[int(n)%len(claimTypes)]
		start := time.Now()
		x, err := Compile(source, typ)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q took %v to compile", source, took)
		}
		if err != nil {
			return
		}
		start = time.Now()
		got, err := x.Value(exchange(t))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q took %v", source, took)
		}
		if err == nil && (!jsontext.Value(got).IsValid() || len(got) > MaxResultSize) {
			t.Errorf("%q gives %.200s, want JSON of at most %d bytes", source, got, MaxResultSize)
		}
		again, againErr := x.Value(restricted(t, x.Reads()))
		if string(again) != string(got) || text(againErr) != text(err) {
			t.Errorf("%q gives %s, %v with what it reads (%q), want %s, %v", source, again, againErr, x.Reads(), got, err)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// restricted returns the values of exchange without the properties and claims that
// aren't in sources.
func restricted(t testing.TB, sources []string) *Values {
	all := exchange(t)
	records := func(kind schema.Kind) schema.Record {
		kept := schema.Record{}
		for name, value := range all.records(kind) {
			if reading(sources, kind, name) {
				kept[name] = value
			}
		}
		return kept
	}
	var others []string
	for _, m := range all.token.Members() {
		if !reading(sources, schema.Token, m.Name) {
			others = append(others, m.Name)
		}
	}
	token, err := splice.Parse(all.token.Cut(others...))
	if err != nil {
		t.Fatal(err)
	}
	return NewValues(all.event, token, records)
}

func reading(sources []string, kind schema.Kind, name string) bool {
	for _, source := range sources {
		own := string(kind) + "." + name
		if source == string(kind) || source == own || kind == schema.Token && strings.HasPrefix(source, own+".") {
			return true
		}
	}
	return false
}

// FuzzNumber: a number of a token becomes a claim with the same value, or none.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{"0", "-0", "1", "1.0", "1e2", "9223372036854775808", "0.1", "1e400", "1e-400", "123456789012345678901", "-1.5E+10", "5e-324"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := jsontext.Value(text)
		if !v.IsValid() || v.Kind() != '0' {
			return
		}
		value := number(text)
		written, err := appendJSON(nil, value, 0)
		if err != nil {
			return
		}
		if digits(string(written)) != digits(text) {
			t.Errorf("%s becomes %s", text, written)
		}
	})
}
