package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"

	"m2m-token-enricher/schema"
)

// confidential is a value in bad rows that no error may show.
const confidential = "c0nfidential"

// result is the line and the record of Next, or its error.
type result struct {
	line       int
	id         string
	properties schema.Record
	err        string
}

// readAll reads rows to their end, or to an error after which there are none.
func readAll(t *testing.T, rows Rows) (all []result, fatal error) {
	t.Helper()
	for {
		e, line, err := rows.Next()
		if errors.Is(err, io.EOF) {
			if err != io.EOF {
				t.Errorf("the end is %v", err)
			}
			return all, nil
		}
		if err != nil && strings.Contains(err.Error(), confidential) {
			t.Errorf("an error shows a value: %v", err)
		}
		if bad, ok := errors.AsType[*RowError](err); ok {
			if bad.Line != line {
				t.Errorf("got line %d and the error %v", line, bad)
			}
			all = append(all, result{line: line, err: bad.Cause.Error()})
			continue
		}
		if err != nil {
			return all, err
		}
		all = append(all, result{line, e.ID, e.Properties, ""})
	}
}

// expectRows compares got with want; of an error want has a part.
func expectRows(t *testing.T, got, want []result) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i, w := range want {
		g := got[i]
		if g.line != w.line || g.id != w.id || !maps.Equal(g.properties, w.properties) || (g.err == "") != (w.err == "") || !strings.Contains(g.err, w.err) {
			t.Errorf("got %v, want %v", g, w)
		}
	}
}

func TestJSONRows(t *testing.T) {
	a1 := schema.Record{"a": "1"}
	const good = `{"id":"x","properties":{"a":"1"}}`
	for name, c := range map[string]struct {
		file string
		want []result
	}{
		"nothing":                 {"", nil},
		"empty lines":             {"\n \t\n\r\n" + good + "\n\n" + good, []result{{4, "x", a1, ""}, {6, "x", a1, ""}}},
		"CRLF":                    {good + "\r\n" + good + "\r\n", []result{{1, "x", a1, ""}, {2, "x", a1, ""}}},
		"no last newline":         {good, []result{{1, "x", a1, ""}}},
		"null":                    {`{"id":"x","properties":{"a":"1","b":null}}`, []result{{1, "x", schema.Record{"a": "1", "b": ""}, ""}}},
		"no properties":           {`{"id":"x","properties":{}}`, []result{{1, "x", schema.Record{}, ""}}},
		"escapes":                 {`{"id":"\u0078","properties":{"\u0061":"\"\u2028😀\ud83d\ude00\\"}}`, []result{{1, "x", schema.Record{"a": "\"\u2028😀😀\\"}, ""}}},
		"a good one after a bad":  {"{\n" + good, []result{{line: 1, err: "EOF"}, {2, "x", a1, ""}}},
		"a member twice":          {`{"id":"x","id":"` + confidential + `","properties":{"a":"1"}}`, []result{{line: 1, err: "duplicate"}}},
		"a property twice":        {`{"id":"x","properties":{"a":"1","a":"` + confidential + `"}}`, []result{{line: 1, err: "duplicate"}}},
		"a member too many":       {`{"id":"x","properties":{"a":"1"},"more":"` + confidential + `"}`, []result{{line: 1, err: "more"}}},
		"another letter case":     {`{"ID":"x","Properties":{"a":"` + confidential + `"}}`, []result{{line: 1, err: "ID"}}},
		"no id":                   {`{"properties":{"a":"` + confidential + `"}}`, []result{{line: 1, err: "form"}}},
		"an empty id":             {`{"id":"","properties":{"a":"` + confidential + `"}}`, []result{{line: 1, err: "form"}}},
		"no properties at all":    {`{"id":"x"}`, []result{{line: 1, err: "form"}}},
		"properties of null":      {`{"id":"x","properties":null}`, []result{{line: 1, err: "form"}}},
		"a number for the id":     {`{"id":1,"properties":{"a":"1"}}`, []result{{line: 1, err: "/id"}}},
		"a number":                {`{"id":"x","properties":{"a":4711}}`, []result{{line: 1, err: "/properties/a"}}},
		"a list":                  {`{"id":"x","properties":{"a":["` + confidential + `"]}}`, []result{{line: 1, err: "/properties/a"}}},
		"properties in a list":    {`{"id":"x","properties":["` + confidential + `"]}`, []result{{line: 1, err: "/properties"}}},
		"text":                    {`"` + confidential + `"`, []result{{line: 1, err: "kind string"}}},
		"null alone":              {`null`, []result{{line: 1, err: "form"}}},
		"a list of records":       {`[` + good + `]`, []result{{line: 1, err: "kind ["}}},
		"two in a line":           {good + good, []result{{line: 1, err: "after top-level value"}}},
		"not closed":              {`{"id":"x","properties":{"a":"` + confidential, []result{{line: 1, err: "EOF"}}},
		"not UTF-8":               {`{"id":"x","properties":{"a":"` + confidential + "\xff" + `"}}`, []result{{line: 1, err: "UTF-8"}}},
		"half a surrogate":        {`{"id":"x","properties":{"a":"` + confidential + `\ud800"}}`, []result{{line: 1, err: "surrogate"}}},
		"a byte order mark":       {"\ufeff" + good + "\n" + good, []result{{1, "x", a1, ""}, {2, "x", a1, ""}}},
		"a mark in the second":    {good + "\n\ufeff" + good, []result{{1, "x", a1, ""}, {line: 2, err: "invalid"}}},
		"a line of 2 MiB and one": {strings.Repeat(" ", 2<<20) + "\n" + good, []result{{2, "x", a1, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(t, JSONRows(strings.NewReader(c.file), schema.Application, nil))
			if err != nil {
				t.Error(err)
			}
			expectRows(t, got, c.want)
		})
	}
}

func TestCSVRows(t *testing.T) {
	x1 := schema.Record{"a": "1"}
	for name, c := range map[string]struct {
		file string
		want []result
	}{
		"only a header":             {"id,a\n", nil},
		"rows":                      {"id,a\nx,1\ny,1\n", []result{{2, "x", x1, ""}, {3, "y", x1, ""}}},
		"the id elsewhere":          {"a,id,b\n1,x,\n", []result{{2, "x", x1, ""}}},
		"CRLF":                      {"id,a\r\nx,1\r\ny,1\r\n", []result{{2, "x", x1, ""}, {3, "y", x1, ""}}},
		"no last newline":           {"id,a\nx,1", []result{{2, "x", x1, ""}}},
		"empty lines":               {"\n\nid,a\n\nx,1\n\n\ny,1\n\n", []result{{5, "x", x1, ""}, {8, "y", x1, ""}}},
		"an empty id":               {"id,a\n,1\n", []result{{2, "", x1, ""}}},
		"quotes":                    {"id,a\n\"x\",\"say \"\"hi\"\", you\"\n", []result{{2, "x", schema.Record{"a": `say "hi", you`}, ""}}},
		"a line break in quotes":    {"id,a\nx,\"1\n2\r\n3\"\ny,1\n", []result{{2, "x", schema.Record{"a": "1\n2\n3"}, ""}, {5, "y", x1, ""}}},
		"a line break in the names": {"id,\"a\nb\"\nx,1\n", []result{{3, "x", schema.Record{"a\nb": "1"}, ""}}},
		"too few fields":            {"id,a\n" + confidential + "\ny,1\n", []result{{line: 2, err: "number of fields"}, {3, "y", x1, ""}}},
		"too many fields":           {"id,a\nx,1," + confidential + "\ny,1\n", []result{{line: 2, err: "number of fields"}, {3, "y", x1, ""}}},
		"fields after a break":      {"id,a\nx,\"1\n2\"\ny\n\nz,1\n", []result{{2, "x", schema.Record{"a": "1\n2"}, ""}, {line: 4, err: "number of fields"}, {6, "z", x1, ""}}},
		"a quote within":            {"id,a\nx,1\"" + confidential + "\ny,1\n", []result{{line: 2, err: "bare"}, {3, "y", x1, ""}}},
		"a quote that isn't closed": {"id,a\ny,1\nx,\"" + confidential + "\n1\n", []result{{2, "y", x1, ""}, {line: 3, err: "quote"}}},
		"a mark":                    {"\ufeffid,a\nx,1\n", []result{{2, "x", x1, ""}}},
		"semicolons":                {"id;a\nx;1,5\n", []result{{2, "x", schema.Record{"a": "1,5"}, ""}}},
		"tabs":                      {"\ufeffa\tid\n1\tx\n", []result{{2, "x", x1, ""}}},
		"a delimiter in quotes":     {"id;\"a,b\t\"\"c\"\nx;1\n", []result{{2, "x", schema.Record{"a,b\t\"c": "1"}, ""}}},
		"one column":                {"id\nx\n", []result{{2, "x", schema.Record{}, ""}}},
		"columns without a name":    {"id,a,,\u00a0\nx,1,,\ny,1,," + confidential + "\nz,1,,\n", []result{{2, "x", x1, ""}, {line: 3, err: "column 4"}, {4, "z", x1, ""}}},
		"a mark before a quote":     {"\ufeff\"id\",\"a\"\n\"x\",\"1\"\n", []result{{2, "x", x1, ""}}},
		"not UTF-8":                 {"id,a\nx,\xff\n", []result{{2, "x", schema.Record{"a": "\xff"}, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(t, CSVRows(strings.NewReader(c.file), schema.Application, nil))
			if err != nil {
				t.Error(err)
			}
			expectRows(t, got, c.want)
		})
	}
}

func TestCSVHeader(t *testing.T) {
	for name, c := range map[string]struct{ file, says string }{
		"no file at all":   {"", "line 1"},
		"empty lines only": {"\n\n\n", "line 1"},
		"no id":            {"a,b\nx,1\n", `"id"`},
		"a space":          {"a, id\nx,1\n", `line 1: column 2: " id" may be taken for "id"`},
		"capitals":         {"ID,a\nx,1\n", `line 1: column 1: "ID" may be taken for "id"`},
		"a second id":      {"\n\nid,a,Id\nx,1,2\n", `line 3: column 3: "Id" may be taken for "id"`},
		"each column":      {"Id,\u00a0a,a,a\nx,1,2,3\n", "column 1: "},
		"space elsewhere":  {"id, a\nx,1\n", `column 2: " a" begins or ends with white space`},
		"two delimiters":   {"id;a,b\nx;1\n", "';' and ','"},
		"all delimiters":   {"id;a,b\tc\nx;1\n", "';' and ','"},
		"carriage returns": {"id,a\rx,1\ry,2\r", "carriage return"},
		"UTF-16":           {"\xff\xfei\x00d\x00", "line 1: it is UTF-16"},
		"a name twice":     {"id,a,a\nx,1,2\n", `column 3: "a" is column 2 already`},
		"the id twice":     {"id,id\nx,1\n", `column 2: "id" is column 1 already`},
		"no name at all":   {",,\nx,1,2\n", `"id"`},
		"a bare quote":     {"id,a\"b\nx,1\n", "quote"},
		"an open quote":    {"id,\"a\nx,1\n", "quote"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := CSVRows(strings.NewReader(c.file), schema.Application, nil).Next()
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if _, ok := errors.AsType[*RowError](err); ok {
				t.Error("got a *RowError, after which a caller would continue")
			}
		})
	}
}

// TestUnreadableRest: a row that is larger than any record, or a broken disk, ends
// the reading with an error that has the line.
func TestUnreadableRest(t *testing.T) {
	broken := errors.New("the disk is broken")
	after := func(start string, rest io.Reader) io.Reader { return io.MultiReader(strings.NewReader(start), rest) }
	const json, csv = `{"id":"x","properties":{"a":"1"}}` + "\n", "id,a\nx,1\n"
	for name, c := range map[string]struct {
		rows Rows
		want error
	}{
		"JSON, huge":   {JSONRows(after(json, io.LimitReader(endless{}, 32<<20)), schema.Application, nil), nil},
		"CSV, huge":    {CSVRows(after(csv+"y,\"", io.LimitReader(endless{}, 32<<20)), schema.Application, nil), nil},
		"JSON, broken": {JSONRows(after(json, iotest.ErrReader(broken)), schema.Application, nil), broken},
		"CSV, broken":  {CSVRows(after(csv, iotest.ErrReader(broken)), schema.Application, nil), broken},
	} {
		got, err := readAll(t, c.rows)
		if len(got) != 1 || got[0].id != "x" || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// export writes e as the command does that exports records.
func export(t testing.TB, e Entry) []byte {
	t.Helper()
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	return line.Bytes()
}

// TestLargestRecords: the largest records can be exported and imported.
func TestLargestRecords(t *testing.T) {
	for name, text := range map[string]string{"letters": "a", "quotes": `"`, "controls": "\x01", "separators": "\u2028", "angles": "<"} {
		t.Run(name, func(t *testing.T) {
			e := Entry{strings.Repeat("x", schema.MaxIDSize), schema.Record{}}
			for i := range 256 {
				e.Properties[fmt.Sprintf("%s%03d", strings.Repeat(text, 253/len(text)), i)] = strings.Repeat(text, schema.MaxPropertySize/len(text))
			}
			if _, err := schema.Application.Complete(e.ID, e.Properties); err != nil {
				t.Fatal(err)
			}
			got, line, err := JSONRows(bytes.NewReader(export(t, e)), schema.Application, nil).Next()
			if err != nil || line != 1 || got.ID != e.ID || !maps.Equal(got.Properties, e.Properties) {
				t.Errorf("line %d, %v", line, err)
			}
		})
	}
}
