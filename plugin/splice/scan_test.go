package splice

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzParse: Parse accepts what the decoder accepts as one object, and the
// members together are that object.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{}`, ` {"a" : 1 , "b":[1,2,{"c":null}],"d":"\u00e9\\\"" } `, `{"a":1,"\u0061":2}`, `{"a":{"x":1,"x":2}}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":-0.1e+5,"b":01}`, "{\"a\":\"\xff\"}", `{"a":[}`, `{"a":tru}`, `{,}`, `{"a":1,}`, `[1,]`,
		"{\"\ufeff\":1}", `{"a":1}{`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, "{\"a\":\"\x00\"}", `{"a":"\x"}`, `{"a":"\u12G4"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := jsontext.Value(bytes.Clone(text))
		valid := want.Format() == nil && want.Kind() == '{'
		o, err := Parse(text)
		if (err == nil) != valid {
			t.Fatalf("Parse(%q) = %v, want no error: %v", text, err, valid)
		}
		if !valid {
			return
		}
		got := jsontext.Value("{")
		for i, m := range o.Members() {
			if i > 0 {
				got = append(got, ',')
			}
			got = m.appendTo(got)
		}
		got = append(got, '}')
		if err := got.Format(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("the members of %q are %q, want %q: %v", text, got, want, err)
		}
		for _, m := range o.Members() {
			if got := text[m.at : m.at+len(m.Value)]; !bytes.Equal(got, m.Value) {
				t.Fatalf("member %q of %q is %q, at its place is %q", m.Name, text, m.Value, got)
			}
		}
	})
}

// TestManyMembers: duplicates are found however many members there are, in
// about linear time.
func TestManyMembers(t *testing.T) {
	for _, n := range []int{1, fewMembers - 1, fewMembers, fewMembers + 1, 1000, 60_000} {
		var members strings.Builder
		for i := range n {
			fmt.Fprintf(&members, `"m%d":1,`, i)
		}
		for name, unique := range map[string]bool{"other": true, "m0": false, fmt.Sprint("m", n-1): false, `\u006d0`: false} {
			object := "{" + members.String() + `"` + name + `":1}`
			for _, text := range []string{object, `{"a":[` + object + `]}`} {
				if _, err := Parse([]byte(text)); (err == nil) != unique {
					t.Errorf("%d members and %s: %v, want no error: %v", n, name, err, unique)
				}
			}
		}
	}
}

// TestDepth: the depth of a text is bounded, by the decoder.
func TestDepth(t *testing.T) {
	const maxDepth = 10_000
	for depth, want := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
		text := `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
		if _, err := Parse([]byte(text)); (err == nil) != want {
			t.Errorf("depth %d: %v, want no error: %v", depth, err, want)
		}
	}
}

// TestPooledScanners: an object keeps its members while others are parsed.
func TestPooledScanners(t *testing.T) {
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for j := range 200 {
				value := fmt.Sprintf(`"%d-%d"`, i, j)
				o := parsed(t, `{"n":`+value+`,"\u006c":[`+value+`]}`)
				parsed(t, `{"x":"xxxxxxxxxxxxxxxx"}`)
				if n, l := o.Get("n"), o.Get("l"); string(n) != value || string(l) != "["+value+"]" {
					t.Errorf("got %s and %s, want %s and it in a list", n, l, value)
				}
			}
		})
	}
	running.Wait()
}

// BenchmarkParse reads a payload as most providers write it. It takes two
// allocations: the object with its members, and the text that their names are
// parts of.
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
