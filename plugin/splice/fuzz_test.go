package splice

import (
	"bytes"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzWith: the output is as strict as the input, changed members have their new
// values, and everything else keeps its bytes and its order.
func FuzzWith(f *testing.F) {
	f.Add([]byte(`{}`), "a", []byte(`1`), "b", []byte(`"x"`))
	f.Add([]byte(" { } \n"), "a", []byte(`[1,2]`), "", []byte(`null`))
	f.Add([]byte(`{"a":9007199254740993,"b":"\ud83d\ude00","c":{"a":1}}`), "a", []byte(`{}`), "d", []byte(`1e400`))
	f.Add([]byte("{ \"\\u0061\" :\t1.0 ,\r\n\"b\":[ ] }"), "a", []byte(` true `), "b\"\n", []byte(`-0`))
	f.Add([]byte(`{"a":"}","b":"{"}`), "b", []byte(`"\""`), "a", []byte(`"\\"`))
	f.Fuzz(func(t *testing.T, text []byte, name1 string, value1 []byte, name2 string, value2 []byte) {
		o, err := Parse(text)
		if err != nil || name1 == name2 {
			return
		}
		const space = " \t\r\n" // around a value, it wouldn't be of the value
		changes := []Member{
			{Name: name1, Value: bytes.Trim(value1, space)},
			{Name: name2, Value: bytes.Trim(value2, space)},
		}
		for _, c := range changes {
			if !utf8.ValidString(c.Name) || !c.Value.IsValid() {
				return
			}
		}
		out := o.With(changes...)
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("With made %q: %v", out, err)
		}
		want := expected(o, changes)
		if len(after.members) != len(want) {
			t.Fatalf("With made %q, which has %d members, want %d", out, len(after.members), len(want))
		}
		for i, m := range after.members {
			if m.Name != want[i].Name || string(m.Value) != string(want[i].Value) {
				t.Errorf("member %d of %q is %q: %s, want %q: %s", i, out, m.Name, m.Value, want[i].Name, want[i].Value)
			}
		}
		back := after.With(o.members...)
		if !bytes.HasPrefix(back, text[:o.last]) || !bytes.HasSuffix(back, text[o.last:]) {
			t.Errorf("undone, %q is %q, want %q", out, back, text)
		}
	})
}

// expected returns the members that o has with changes.
func expected(o *Object, changes []Member) []Member {
	var want []Member
	for _, m := range o.members {
		if c := find(changes, m.Name); c != nil {
			m.Value = c.Value
		}
		want = append(want, m)
	}
	for _, c := range changes {
		if find(o.members, c.Name) == nil {
			want = append(want, Member{Name: c.Name, Value: c.Value})
		}
	}
	return want
}

// FuzzCut: the output is as strict as the input, and has the members that were
// not cut, with their bytes.
func FuzzCut(f *testing.F) {
	f.Add([]byte(`{}`), "a", "b")
	f.Add([]byte(" { \"a\" : 1 , \"b\":[ ] ,\n\"c\":\"}\" } \n"), "a", "c")
	f.Add([]byte(`{"\u0061":9007199254740993,"b":{"a":1},"c":","}`), "a", "b")
	f.Fuzz(func(t *testing.T, text []byte, name1, name2 string) {
		o, err := Parse(text)
		if err != nil {
			return
		}
		out := o.Cut(name1, name2)
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("Cut made %q: %v", out, err)
		}
		var want []Member
		for _, m := range o.members {
			if m.Name != name1 && m.Name != name2 {
				want = append(want, m)
			}
		}
		same := slices.EqualFunc(after.members, want, func(a, b Member) bool { return a.Name == b.Name && string(a.Value) == string(b.Value) })
		if !same || len(want) == len(o.members) && !bytes.Equal(out, text) {
			t.Errorf("Cut(%q, %q) of %q = %q, want everything else as it was", name1, name2, text, out)
		}
	})
}
