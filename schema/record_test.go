package schema

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestKindKey(t *testing.T) {
	for kind, want := range map[Kind]string{Application: "p:app:a:b", Organization: "p:org:a:b", User: "p:user:a:b"} {
		if got := kind.Key("p:", "a:b"); got != want {
			t.Errorf("key of %s = %s, want %s", kind, got, want)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "org_8ed648340ea9": true, "a:b/c*?[d]": true, "!~": true, strings.Repeat("a", 256): true,
		"My Billing Service": true, "a  b": true, "a" + strings.Repeat(" ", 254) + "b": true,
		"": false, " ": false, " a": false, "a ": false, "a\n": false, "a\tb": false, "\x7f": false, "ü": false, "a\u00a0b": false, "a\x00": false,
		"\xff": false, strings.Repeat("a", 257): false,
	} {
		if ValidID(id) != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, !want, want)
		}
	}
}

// TestValidIDByCharacter: every character of a client id by RFC 6749, appendix
// A.1, is allowed within an identifier, and no other.
func TestValidIDByCharacter(t *testing.T) {
	for c := rune(0); c <= 0x2100; c++ {
		want := c >= 0x20 && c <= 0x7e
		if id := "a" + string(c) + "b"; ValidID(id) != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, !want, want)
		}
		if id := string(c); ValidID(id) != (want && c != ' ') {
			t.Errorf("ValidID(%q) = %t, want %t", id, !want, want)
		}
	}
}

func TestRecordComplete(t *testing.T) {
	for name, c := range map[string]struct {
		kind        Kind
		given, want Record
	}{
		"as it is":                {Application, Record{"a": "1"}, Record{"a": "1"}},
		"without what is empty":   {Application, Record{"a": "1", "b": ""}, Record{"a": "1"}},
		"the code":                {Organization, Record{"a": "1"}, Record{"a": "1", "code": "x"}},
		"an empty code":           {Organization, Record{"code": ""}, Record{"code": "x"}},
		"the same code":           {Organization, Record{"code": "x"}, Record{"code": "x"}},
		"nothing of one":          {Organization, nil, Record{"code": "x"}},
		"the id":                  {User, Record{"code": "y"}, Record{"code": "y", "id": "x"}},
		"suspended":               {Organization, Record{"is_suspended": "true"}, Record{"code": "x", "is_suspended": "true"}},
		"not suspended":           {Organization, Record{"is_suspended": "false"}, Record{"code": "x", "is_suspended": "false"}},
		"suspended in capitals":   {Organization, Record{"is_suspended": "TRUE"}, Record{"code": "x", "is_suspended": "true"}},
		"a capital, and the code": {Organization, Record{"is_suspended": "False", "code": "x"}, Record{"code": "x", "is_suspended": "false"}},
		"capitals of another":     {User, Record{"is_suspended": "TRUE", "id": "x"}, Record{"id": "x", "is_suspended": "TRUE"}},
		"unsaid":                  {Organization, Record{"is_suspended": ""}, Record{"code": "x"}},
		"anything of another":     {Application, Record{"is_suspended": "perhaps", "code": "y", "id": "z"}, Record{"is_suspended": "perhaps", "code": "y", "id": "z"}},
		"an empty bad name":       {Application, Record{"a": "1", "": "", "\xff": ""}, Record{"a": "1"}},
		"the longest value":       {Application, Record{"a": strings.Repeat("x", 4096)}, Record{"a": strings.Repeat("x", 4096)}},
		"the longest name":        {Application, Record{strings.Repeat("x", 256): "1"}, Record{strings.Repeat("x", 256): "1"}},
		"the most":                {Application, many(256), many(256)},
		"too many empty ones":     {Application, emptied(many(300), 256), many(256)},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(c.given)
			got, err := c.kind.Complete("x", c.given)
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if !maps.Equal(c.given, before) {
				t.Errorf("the argument became %v, want %v as before", c.given, before)
			}
			if again, err := c.kind.Complete("x", got); err != nil || !maps.Equal(again, got) {
				t.Errorf("completed again: got %v, %v, want %v", again, err, got)
			}
		})
	}
}

// many returns a record with n properties.
func many(n int) Record {
	r := Record{}
	for i := range n {
		r[fmt.Sprint("p", i)] = "1"
	}
	return r
}

// emptied returns r with all properties from the n-th on empty.
func emptied(r Record, n int) Record {
	for i := n; i < len(r); i++ {
		r[fmt.Sprint("p", i)] = ""
	}
	return r
}

func TestRecordIncomplete(t *testing.T) {
	const value = "c0nfidential"
	for name, c := range map[string]struct {
		kind  Kind
		id    string
		given Record
		says  []string
	}{
		"no id":               {Application, "", Record{"a": value}, []string{"identifier"}},
		"a long id":           {Application, strings.Repeat("i", 100_000), Record{"a": value}, []string{"identifier"}},
		"no property":         {Application, "x", Record{"a": ""}, []string{"no property"}},
		"nil":                 {Application, "x", nil, []string{"no property"}},
		"another code":        {Organization, "x", Record{"code": value}, []string{`code must be the identifier "x"`}},
		"another id":          {User, "x", Record{"id": value}, []string{`id must be the identifier "x"`}},
		"a bad flag":          {Organization, "x", Record{"is_suspended": value}, []string{"is_suspended must be true or false"}},
		"a flag with a space": {Organization, "x", Record{"is_suspended": "true "}, []string{"is_suspended must be true or false"}},
		"a flag of a number":  {Organization, "x", Record{"is_suspended": "0"}, []string{"is_suspended must be true or false"}},
		"too many":            {Application, "x", many(257), []string{"257 properties"}},
		"one for the code":    {Organization, "x", many(256), []string{"257 properties"}},
		"a long value":        {Application, "x", Record{"plan": strings.Repeat(value, 342)}, []string{"plan", "more than 4096 bytes"}},
		"a long name":         {Application, "x", Record{strings.Repeat("n", 257): value}, []string{"name is not 1 to 256 bytes"}},
		"no name":             {Application, "x", Record{"": value}, []string{"name is not 1 to 256 bytes"}},
		"a broken name":       {Application, "x", Record{"\xff": value}, []string{"name is not 1 to 256 bytes"}},
		"a broken value":      {Application, "x", Record{"plan": value + "\xff"}, []string{"plan", "isn't UTF-8"}},
		"a space at an end":   {Application, "x ", Record{"a": value}, []string{"identifier", "without a space at an end"}},
		"all at once": {Organization, " x", Record{"code": value, "is_suspended": value, "": value, "plan": "\xff"},
			[]string{"identifier", "code must be", "is_suspended must be", "name is not", "isn't UTF-8"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.kind.Complete(c.id, c.given)
			if !errors.Is(err, ErrInvalidRecord) {
				t.Fatalf("got %v, want ErrInvalidRecord", err)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q in it", err, word)
				}
			}
			if strings.Contains(err.Error(), value) || len(err.Error()) > 2000 {
				t.Errorf("it shows too much: %v", err)
			}
		})
	}
}

// TestMistakesOfOneLine: a name can't write a line of its own to a log.
func TestMistakesOfOneLine(t *testing.T) {
	for _, value := range []string{"\xff", strings.Repeat("x", 4097)} {
		_, err := Application.Complete("x", Record{"a\nlevel=ERROR \x1b[31m": value})
		if err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("got %q, want an error of one visible line", err)
		}
	}
}

// TestCheckSize: a record that code reads whole has the limits of one that is
// written, and the error shows no value.
func TestCheckSize(t *testing.T) {
	many := Record{}
	for i := range MaxProperties {
		many[strings.Repeat("n", i+1)] = "x"
	}
	if err := many.CheckSize(); err != nil {
		t.Errorf("%d properties: %v", len(many), err)
	}
	many["one more"] = "x"
	long := strings.Repeat("s3cret", MaxPropertySize)
	for name, r := range map[string]Record{
		"too many": many, "value": {"a": long}, "name": {strings.Repeat("n", MaxNameSize+1): "x"}, "no name": {"": "x"},
		"bytes": {"a": "\xff"}, "bytes in a name": {"\xff": "x"}, "several": {"a": long, "b": long},
	} {
		if err := r.CheckSize(); !errors.Is(err, ErrInvalidRecord) || strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 200 {
			t.Errorf("%s: got %.300v, want one short error without a value", name, err)
		}
	}
}
