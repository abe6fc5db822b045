package splice

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{`[]`, `[{"a":1}]`, `"{}"`, `1`, `-1e9`, `true`, `false`, ` null `} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrNotObject) {
			t.Errorf("Parse(%s) = %v, want ErrNotObject", text, err)
		}
	}
	tests := map[string]string{
		"nothing":                        "",
		"white space":                    " \n\t",
		"unfinished":                     `{"a":1`,
		"unfinished name":                `{"a`,
		"no value":                       `{"a":}`,
		"trailing comma":                 `{"a":1,}`,
		"single quotes":                  `{'a':1}`,
		"comment":                        `{"a":1/**/}`,
		"NaN":                            `{"a":NaN}`,
		"leading zero":                   `{"a":01}`,
		"raw line break in a string":     "{\"a\":\"\n\"}",
		"byte order mark":                "\ufeff{}",
		"invalid UTF-8 in a value":       "{\"a\":\"\xff\"}",
		"invalid UTF-8 in a name":        "{\"\xc0\x80\":1}",
		"encoded surrogate":              "{\"a\":\"\xed\xa0\x80\"}",
		"lone high surrogate":            `{"a":"\ud800"}`,
		"lone low surrogate":             `{"a":"\udc00 "}`,
		"lone surrogate in a name":       `{"\ud800":1}`,
		"duplicate":                      `{"a":1,"b":2,"a":1}`,
		"duplicate in another writing":   `{"a":1,"\u0061":1}`,
		"duplicate below":                `{"x":{"a":1,"a":1}}`,
		"duplicate in an array below":    `{"x":[[{"a":1,"a":1}]]}`,
		"text after":                     `{}x`,
		"object after":                   `{}{}`,
		"comma after":                    `{},`,
		"zero byte after":                "{}\x00",
		"100000 arrays":                  strings.Repeat("[", 100_000),
		"100000 arrays below":            `{"a":` + strings.Repeat("[", 100_000),
		"100000 closed arrays below":     `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
		"100000 objects":                 strings.Repeat(`{"a":`, 100_000),
		"text after what isn't one":      `[]x`,
		"unfinished and isn't an object": `[`,
	}
	for name, text := range tests {
		if o, err := Parse([]byte(text)); o != nil || err == nil || errors.Is(err, ErrNotObject) {
			t.Errorf("%s: Parse = %v, %v, want no object and a syntax error", name, o, err)
		}
	}
}

// TestParseErrorsHideText: a text may be a token, and errors are logged.
func TestParseErrorsHideText(t *testing.T) {
	for _, text := range []string{
		`{"x":{"secret":1,"secret":2}}`,
		`{"secret":{"secret":nul}}`,
		`{"secret":"\ud800\u5ec7"}`,
		`{"secret":"\secret"}`,
		`{} secret`,
		`{"a":secret}`,
		`"secret"`,
	} {
		_, err := Parse([]byte(text))
		if err == nil {
			t.Fatalf("Parse(%s) = nil, want an error", text)
		}
		for _, part := range []string{"secret", `\u`, `\s`, "ud800", "'s'"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("Parse(%s) = %q, which quotes the text", text, err)
			}
		}
	}
}

func TestGet(t *testing.T) {
	o := parsed(t, `{ "a" : 9007199254740993 , "\u0062":"x\u0079", "n":null,"o": { "p" : [ 1.0 ] },"":0,"A":2 }`)
	tests := map[string]string{
		"a": "9007199254740993", // 2^53 + 1
		"b": `"x\u0079"`,
		"n": "null",
		"o": `{ "p" : [ 1.0 ] }`,
		"":  "0",
		"A": "2",
		"N": "",
		"p": "",
	}
	for name, want := range tests {
		if got := o.Get(name); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("Get(%q) = %s, want %s", name, got, want)
		}
	}
	var names []string
	for _, m := range o.Members() {
		names = append(names, m.Name)
	}
	if got, want := strings.Join(names, ","), "a,b,n,o,,A"; got != want {
		t.Errorf("the members are %s, want %s", got, want)
	}
}

// TestGetKeepsNeighbours: appending to a value must not write into the text.
func TestGetKeepsNeighbours(t *testing.T) {
	o := parsed(t, `{"a":1,"b":2}`)
	_ = append(o.Get("a"), "000"...)
	if got := string(o.Bytes()); got != `{"a":1,"b":2}` {
		t.Errorf("the text is now %s, want it unchanged", got)
	}
}

func TestAt(t *testing.T) {
	o := parsed(t, `{"a":{"b":{"c":18446744073709551617}},"s":"x","l":[{"b":1}],"n":null,"a.b":3}`)
	tests := []struct {
		path []string
		want string
	}{
		{nil, ""},
		{[]string{"s"}, `"x"`},
		{[]string{"a", "b", "c"}, "18446744073709551617"},
		{[]string{"a", "b"}, `{"c":18446744073709551617}`},
		{[]string{"a.b"}, "3"},
		{[]string{"a", "c"}, ""},
		{[]string{"a", "b", "c", "d"}, ""},
		{[]string{"s", "x"}, ""},
		{[]string{"l", "b"}, ""},
		{[]string{"l", "0"}, ""},
		{[]string{"n"}, "null"},
		{[]string{"n", "x"}, ""},
		{[]string{"absent", "x"}, ""},
	}
	for _, tt := range tests {
		if got := o.At(tt.path); string(got) != tt.want || (got == nil) != (tt.want == "") {
			t.Errorf("At(%q) = %s, want %s", tt.path, got, tt.want)
		}
	}
}

func TestAlike(t *testing.T) {
	o := parsed(t, `{"exp":1,"Iss":2,"\u0053ub":3,"\u212aid":4,"aud":5,"AUD":6}`)
	tests := map[string]string{
		"exp": "",
		"iss": "Iss",
		"sub": "Sub",
		"kid": "\u212aid", // the Kelvin sign folds to k
		"aud": "AUD",
		"AUD": "aud",
		"x":   "",
	}
	for name, want := range tests {
		if got := o.Alike(name); got != want {
			t.Errorf("Alike(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestWith(t *testing.T) {
	tests := []struct {
		name, text string
		changes    []Member
		want       string
	}{
		{"nothing", " { \"a\" : 1 }\n", nil, " { \"a\" : 1 }\n"},
		{"rewritten in place", "{ \"a\" :\t1 ,\r\n\"b\":9007199254740993, \"c\":1.0 }", []Member{member("a", `"x"`)},
			"{ \"a\" :\t\"x\" ,\r\n\"b\":9007199254740993, \"c\":1.0 }"},
		{"in the object's order", `{"a":1,"b":2}`, []Member{member("b", "3"), member("a", "4")}, `{"a":4,"b":3}`},
		{"shorter and longer", `{"a":12345,"b":1}`, []Member{member("a", "1"), member("b", "12345")}, `{"a":1,"b":12345}`},
		{"name keeps its writing", `{"\u0061":1}`, []Member{member("a", "2")}, `{"\u0061":2}`},
		{"added to an empty object", `{}`, []Member{member("a", "1"), member("b", "2")}, `{"a":1,"b":2}`},
		{"added to white space", "{ }", []Member{member("a", "1")}, `{ "a":1}`},
		{"added at the end", "{\"a\":1\n}", []Member{member("b", "2"), member("c", "3")}, "{\"a\":1\n,\"b\":2,\"c\":3}"},
		{"rewritten and added", `{"a":1}`, []Member{member("b", "2"), member("a", "[]")}, `{"a":[],"b":2}`},
		{"added name is escaped", `{}`, []Member{member("a\"\n", "1")}, `{"a\"\n":1}`},
		{"another letter case is another member", `{"A":1}`, []Member{member("a", "2")}, `{"A":1,"a":2}`},
		{"the same name below", `{"x":{"a":1}}`, []Member{member("a", "2")}, `{"x":{"a":1},"a":2}`},
		{"the last of many", `{"x":[{"a":"}"}],"y":"}"}`, []Member{member("y", "{}")}, `{"x":[{"a":"}"}],"y":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := parsed(t, tt.text)
			if got := string(o.With(tt.changes...)); got != tt.want {
				t.Errorf("With = %s, want %s", got, tt.want)
			}
			if got := string(o.Bytes()); got != tt.text {
				t.Errorf("the object is now %s, want %s", got, tt.text)
			}
		})
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		value, want string
		ok          bool
	}{
		{`"x"`, "x", true},
		{`""`, "", true},
		{`"\u0061\ud83d\ude00\/"`, "a😀/", true},
		{`"null"`, "null", true},
		{`null`, "", false},
		{`1`, "", false},
		{`["x"]`, "", false},
		{``, "", false},
	}
	for _, tt := range tests {
		if got, ok := Text(jsontext.Value(tt.value)); got != tt.want || ok != tt.ok {
			t.Errorf("Text(%s) = %q, %v, want %q, %v", tt.value, got, ok, tt.want, tt.ok)
		}
		if tt.value == "" {
			continue
		}
		o := parsed(t, `{"a":`+tt.value+`,"o":{"a":`+tt.value+`}}`)
		for _, path := range [][]string{{"a"}, {"o", "a"}} {
			if got, ok := o.TextAt(path); got != tt.want || ok != tt.ok {
				t.Errorf("TextAt(%q) of %s = %q, %v, want %q, %v", path, o.Bytes(), got, ok, tt.want, tt.ok)
			}
		}
	}
	if got, ok := parsed(t, "{}").Text("a"); got != "" || ok {
		t.Errorf("Text of no member = %q, %v, want none", got, ok)
	}
}

func TestElements(t *testing.T) {
	for value, want := range map[string][]string{
		`[]`: {}, ` [ "a" , 1.0,[{"b":2}] ] `: {`"a"`, "1.0", `[{"b":2}]`}, `["a","\u0062"]`: {`"a"`, `"\u0062"`},
		`{}`: nil, `"a"`: nil, `["a"`: nil, `[1]x`: nil, `[1,]`: nil, ``: nil,
	} {
		elements, err := Elements(jsontext.Value(value))
		got := []string{}
		for _, e := range elements {
			got = append(got, string(e))
		}
		if (err == nil) != (want != nil) || err == nil && !slices.Equal(got, want) {
			t.Errorf("Elements(%s) = %q, %v, want %q", value, got, err, want)
		}
	}
	for value, want := range map[string][]string{`["a","\u0062"]`: {"a", "b"}, `[]`: {}, `["a",1]`: nil, `"a"`: nil} {
		if got, ok := Texts(jsontext.Value(value)); ok != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("Texts(%s) = %q, %v, want %q", value, got, ok, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "x", "\"\\\n\x00", "Ä😀", "</script>&"} {
		value, err := Quote(s)
		if err != nil {
			t.Errorf("Quote(%q): %v", s, err)
		}
		if got, ok := Text(value); !ok || got != s {
			t.Errorf("Text(Quote(%q)) = %q, %v, want the same", s, got, ok)
		}
	}
	if _, err := Quote("\xff"); err == nil {
		t.Error("Quote of invalid UTF-8 = nil, want an error")
	}
}

func parsed(t *testing.T, text string) *Object {
	t.Helper()
	o, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return o
}

func member(name, value string) Member {
	return Member{Name: name, Value: jsontext.Value(value)}
}

func TestTexts(t *testing.T) {
	tests := []struct {
		value string
		want  []string
		ok    bool
	}{
		{`["a","\u0062", "" ]`, []string{"a", "b", ""}, true},
		{`[]`, nil, true},
		{`["a",1]`, nil, false},
		{`["a",["b"]]`, nil, false},
		{`[null]`, nil, false},
		{`"a"`, nil, false},
		{`{"a":"b"}`, nil, false},
		{`null`, nil, false},
		{``, nil, false},
	}
	for _, tt := range tests {
		if got, ok := Texts(jsontext.Value(tt.value)); !slices.Equal(got, tt.want) || ok != tt.ok {
			t.Errorf("Texts(%s) = %q, %t, want %q, %t", tt.value, got, ok, tt.want, tt.ok)
		}
	}
}

// TestCut: one comma disappears with a member, and everything else stays.
func TestCut(t *testing.T) {
	for _, tt := range []struct{ before, after string }{
		{`{"x":1}`, `{}`},
		{" { \"x\" : 1 } \n", " {  } \n"},
		{`{"x":1,"a":2}`, `{"a":2}`},
		{`{"a":1,"x":2}`, `{"a":1}`},
		{`{"a":1,"x":2,"b":3}`, `{"a":1,"b":3}`},
		{"{\n \"x\": \"\\\"}\" ,\n \"a\": {\"x\":1},\n \"y\": [3] ,\r\n\t\"b\": 1.0 \n}\n", "{\n \"a\": {\"x\":1} ,\r\n\t\"b\": 1.0 \n}\n"},
		{`{"x":1,"y":2,"a":3}`, `{"a":3}`},
		{`{"a":1 , "x":2 ,  "y":3   }`, `{"a":1   }`},
		{`{"x":1,"y":2}`, `{}`},
		{`{"\u0078":1,"X":2}`, `{"X":2}`},
		{`{}`, `{}`},
		{` { "a" : 1 } `, ` { "a" : 1 } `},
	} {
		o, err := Parse([]byte(tt.before))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.Cut("x", "y")); got != tt.after {
			t.Errorf("Cut of %q = %q, want %q", tt.before, got, tt.after)
		}
	}
}

func TestFind(t *testing.T) {
	o, err := Parse([]byte(`{"a":{"b":{"c":1},"b.c":2,"null":null},"a.b":3,"https://x.example/y":{"z":4},"":{"":5},"s":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"a.b": "3", "a.b.c": "", "a.null": "null", "https://x.example/y.z": "4", "https://x.example/y": `{"z":4}`, "a.b.": "",
		"s": `"x"`, "s.x": "", "x": "", "a.x": "", "": `{"":5}`, ".": "5", "..": "",
	} {
		if got := string(o.Find(path)); got != want {
			t.Errorf("Find(%q) = %s, want %s", path, got, want)
		}
	}
	if o, err = Parse([]byte(`{"a":{"b":{"c":1},"b.c":2}}`)); err != nil || string(o.Find("a.b.c")) != "2" {
		t.Errorf("got %s, %v, want the longest name, 2", o.Find("a.b.c"), err)
	}
}
