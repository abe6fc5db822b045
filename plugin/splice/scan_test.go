package splice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// readPlainly is what Parse does, by a general decoder.
func readPlainly(text []byte) ([]Member, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var members []Member
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		m := Member{Name: name.String()}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		m.Value = value.Clone()
		members = append(members, m)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("more than an object")
	}
	return members, nil
}

// FuzzParse: the scanner takes and refuses what a general decoder does, and
// finds the same members.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{}`, ` {"a" : 1 , "b":[1,2,{"c":null}],"d":"\u00e9\\\"" } `, `{"a":1,"\u0061":2}`, `{"a":{"x":1,"x":2}}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":-0.1e+5,"b":01}`, "{\"a\":\"\xff\"}", `{"a":[}`, `{"a":tru}`, `{,}`, `{"a":1,}`, `[1,]`,
		"{\"\ufeff\":1}", `{"a":1}{`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, "{\"a\":\"\x00\"}", `{"a":"\x"}`, `{"a":"\u12G4"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Count(text, []byte("[")) >= maxDepth || bytes.Count(text, []byte("{")) >= maxDepth || !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
			return // a bound of the scanner's own, or no object for either
		}
		want, wantErr := readPlainly(text)
		got, gotErr := Parse(text)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("%q: %v, the decoder says %v", text, gotErr, wantErr)
		}
		if wantErr != nil {
			return
		}
		if len(got.Members()) != len(want) {
			t.Fatalf("%q: %d members, the decoder finds %d", text, len(got.Members()), len(want))
		}
		for i, m := range got.Members() {
			if m.Name != want[i].Name || !bytes.Equal(m.Value, want[i].Value) {
				t.Fatalf("%q: member %d is %q: %q, the decoder says %q: %q", text, i, m.Name, m.Value, want[i].Name, want[i].Value)
			}
			a, okA := Text(m.Value)
			raw, err := jsontext.AppendUnquote(nil, m.Value)
			if okB := err == nil && m.Value.Kind() == '"'; okA != okB || okA && a != string(raw) {
				t.Fatalf("%q: text %q %v, the decoder says %q %v", m.Value, a, okA, raw, okB)
			}
		}
	})
}

// TestManyMembers: duplicates are found however many members there are, in
// about linear time.
func TestManyMembers(t *testing.T) {
	var many strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&many, `"m%d":1,`, i)
	}
	if _, err := Parse([]byte("{" + many.String() + `"other":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse([]byte("{" + many.String() + `"m31415":1}`)); err == nil {
		t.Fatal("no error")
	}
	for _, n := range []int{1, fewMembers - 1, fewMembers, fewMembers + 1, 1000} {
		text := "{"
		for i := range n {
			text += `"m` + strings.Repeat("x", i) + `":1,`
		}
		if _, err := Parse([]byte(text + `"other":1}`)); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		for _, again := range []string{"m", "m" + strings.Repeat("x", n-1), `\u006d`} {
			if _, err := Parse([]byte(text + `"` + again + `":1}`)); err == nil {
				t.Errorf("%d members, and one of them again as %.20q: no error", n, again)
			}
			if _, err := Parse([]byte(`{"a":[` + text + `"` + again + `":1}]}`)); err == nil {
				t.Errorf("%d members deep down, and one of them again: no error", n)
			}
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}")
	}
	if _, err := Parse(nested(maxDepth - 1)); err != nil {
		t.Error(err)
	}
	if _, err := Parse(nested(maxDepth)); err == nil {
		t.Error("no error beyond the limit")
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"aud":["https://api.example.com"],"azp":"299627bd8bfa493f8b17e6aec8ebfb86","exp":1732536000,"gty":["client_credentials"],` +
		`"iat":1732449600,"iss":"https://example.kinde.com","jti":"d0e1f2a3-b4c5-4d6e-8f90-a1b2c3d4e5f6","scp":["read:users","write:users"],"v":"2"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
