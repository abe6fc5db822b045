package records

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"m2m-token-enricher/schema"
)

// FuzzJSONRows: a row that is exported and read again is the same. Line numbers
// only grow.
func FuzzJSONRows(f *testing.F) {
	for _, seed := range []string{
		`{"id":"x","properties":{"a":"1","b":null}}` + "\r\n\n" + `{"id":"y","properties":{"<":"\u2028\u0000\""}}`,
		`{"id":"x","id":"x","properties":{"a":"1","a":"1"}}`, `{"id":"x","properties":{"a":"\ud800"}}`, "\ufeff{}", "null\n[]\n{\n\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		eachRow(t, JSONRows(bytes.NewReader(file), schema.Application, nil), func(e Entry) {
			written := export(t, e)
			again, err := ParseEntry(bytes.TrimSpace(written), schema.Application, nil)
			if err != nil || again.ID != e.ID || !maps.Equal(again.Properties, e.Properties) {
				t.Errorf("%+v was written as %q, which is %+v, %v", e, written, again, err)
			}
		})
	})
}

// FuzzCSVRows: a row that is written and read again is the same, except for line
// ends in it, which encoding/csv makes newlines.
func FuzzCSVRows(f *testing.F) {
	for _, seed := range []string{
		"id,a\nx,1\n", "\ufeffid,a\r\nx,\"1\r\n2\"\r\n", "a,id\n\"\"\"\",x\n,y\n\n", "id\nx\n\\.\n", "id,id\n", "id,\"a\n", "id,a\nx\ny,\"1", "", "id,a\nx,\"\r\r\n\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		eachRow(t, CSVRows(bytes.NewReader(file), schema.Application, nil), func(e Entry) {
			again, line, err := CSVRows(bytes.NewReader(asCSV(t, e)), schema.Application, nil).Next()
			if err != nil || line < 2 || again.ID != e.ID || !maps.Equal(again.Properties, newlines(e.Properties)) {
				t.Errorf("%+v became %+v of line %d, %v", e, again, line, err)
			}
		})
	})
}

// newlines returns properties as encoding/csv reads them when they are quoted.
func newlines(properties schema.Record) schema.Record {
	read := schema.Record{}
	for name, value := range properties {
		read[strings.ReplaceAll(name, "\r\n", "\n")] = strings.ReplaceAll(value, "\r\n", "\n")
	}
	return read
}

// eachRow calls good with every row that can be a record.
func eachRow(t *testing.T, rows Rows, good func(Entry)) {
	last := 0
	for {
		e, line, err := rows.Next()
		bad, _ := errors.AsType[*RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil && bad == nil:
			return // it can't be read any further
		case line <= last && !(line == last && bad != nil):
			t.Fatalf("line %d comes after %d", line, last)
		}
		last = line
		if err != nil {
			continue
		}
		if e.Properties, err = schema.Application.Complete(e.ID, e.Properties); err == nil {
			good(e)
		}
	}
}

func asCSV(t *testing.T, e Entry) []byte {
	names := slices.Sorted(maps.Keys(e.Properties))
	fields := []string{e.ID}
	for _, name := range names {
		fields = append(fields, e.Properties[name])
		if !utf8.ValidString(name) {
			t.Fatalf("%q was accepted as a name", name)
		}
	}
	var file bytes.Buffer
	for _, row := range [][]string{append([]string{"id"}, names...), fields} {
		for i, field := range row {
			row[i] = `"` + strings.ReplaceAll(field, `"`, `""`) + `"` // a name with another delimiter must be quoted
		}
		file.WriteString(strings.Join(row, ",") + "\n")
	}
	return file.Bytes()
}
