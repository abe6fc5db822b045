package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// imported is the result of an import of applications.
type imported struct {
	Summary
	err     error
	bad     []int // lines
	changes []Change
}

func importText(ctx context.Context, s *Store, mode Mode, skipBad bool, text string, from int) (got imported) {
	run := Import{
		Kind: schema.Application, Mode: mode, SkipBad: skipBad,
		Bad:     func(e *RowError) { got.bad = append(got.bad, e.Line) },
		Changed: func(c Change) error { got.changes = append(got.changes, c); return nil },
	}
	got.Summary, got.err = run.Run(ctx, s, JSONRows(strings.NewReader(text), schema.Application, nil), from)
	return got
}

// rowOf is a line of a file.
func rowOf(id, value string) string {
	return fmt.Sprintf(`{"id":%q,"properties":{"a":%q,%q:"x"}}`, id, value, "only"+value) + "\n"
}

// recordOf is what rowOf says.
func recordOf(value string) schema.Record { return schema.Record{"a": value, "only" + value: "x"} }

func TestImportBadRows(t *testing.T) {
	server, s := start(t)
	file := rowOf("a", "1") + "\n" + rowOf("b", "1") + "{\n" + rowOf("c", "1") + `{"id":"d ","properties":{"a":"1"}}` + "\n" + rowOf("e", "1")
	for _, c := range []struct {
		name    string
		skipBad bool
		from    int
		want    Summary
		left    []string
	}{
		{"stop", false, 0, Summary{Counts: Counts{New: 2}, Bad: 2, Next: 4}, []string{"a", "b"}},
		{"skip", true, 0, Summary{Counts: Counts{New: 4}, Bad: 2}, []string{"a", "b", "c", "e"}},
		{"from the bad line", false, 4, Summary{Bad: 2, Next: 4}, nil},
		{"from behind it", false, 5, Summary{Counts: Counts{New: 1}, Bad: 1, Next: 6}, []string{"c"}},
		{"from the last", false, 7, Summary{Counts: Counts{New: 1}}, []string{"e"}},
		{"from behind the last", false, 8, Summary{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			got := importText(t.Context(), s, Write, c.skipBad, file, c.from)
			if got.Summary != c.want || errors.Is(got.err, ErrBadRows) != (c.want.Next > 0) || (got.err != nil) != (c.want.Next > 0) {
				t.Errorf("got %+v, %v, want %+v", got.Summary, got.err, c.want)
			}
			if want := []int{4, 6}[2-c.want.Bad:]; !slices.Equal(got.bad, want) {
				t.Errorf("got the bad lines %v, want %v", got.bad, want)
			}
			if left := ids(t, s, schema.Application, "*"); !slices.Equal(left, c.left) {
				t.Errorf("got %v, want %v", left, c.left)
			}
		})
	}
}

// TestImportOneIDTwice: the last row wins, wherever the others are.
func TestImportOneIDTwice(t *testing.T) {
	server, s := start(t)
	var file strings.Builder
	want := map[string]schema.Record{}
	rows := 0
	add := func(id, value string) {
		file.WriteString(rowOf(id, value))
		want[id] = recordOf(value)
		rows++
	}
	for i := range 2500 {
		add(fmt.Sprintf("app_%d", i*7919%2500), fmt.Sprint(i))
		if i%3 == 0 {
			add("often", fmt.Sprint(i))
		}
		if i%100 == 0 {
			add(fmt.Sprintf("app_%d", i), "again") // near to itself or far from it
			add("next", fmt.Sprint(i))
			add("next", fmt.Sprint(-i))
		}
	}
	got := importText(t.Context(), s, Write, false, file.String(), 0)
	if got.err != nil || got.New != len(want) || got.New+got.Changed+got.Unchanged != rows || len(got.changes) != got.New+got.Changed {
		t.Errorf("%d rows: got %+v, %v", rows, got.Summary, got.err)
	}
	expectEverything(t, server.Client(), want)
}

// TestImportAgain: a dry run and a second import write nothing.
func TestImportAgain(t *testing.T) {
	server, s := start(t)
	put(t, s, Entry{"app_0", recordOf("0")}, Entry{"app_1", recordOf("other")})
	var file strings.Builder
	for i := range 1500 {
		file.WriteString(rowOf(fmt.Sprintf("app_%d", i), fmt.Sprint(i)))
	}
	importAll := func(mode Mode, want Summary) {
		t.Helper()
		got := importText(t.Context(), s, mode, false, file.String(), 0)
		if got.err != nil || got.Summary != want || len(got.changes) != want.New+want.Changed {
			t.Errorf("got %+v with %d changes, %v, want %+v", got.Summary, len(got.changes), got.err, want)
		}
	}
	first := Summary{Counts: Counts{New: 1498, Changed: 1, Unchanged: 1}}
	expectNoWrites(t, server.Client(), func() { importAll(DryRun, first) })
	importAll(Write, first)
	expectNoWrites(t, server.Client(), func() { importAll(Write, Summary{Counts: Counts{Unchanged: 1500}}) })
}

// failingRows gives good rows, and from a line on an error that stays.
type failingRows struct {
	Rows
	line  int // of the error
	good  int
	asked int
	stop  func()
}

var errBroken = errors.New("the file is broken")

func (r *failingRows) Next() (Entry, int, error) {
	if r.good > 0 {
		r.good--
		return r.Rows.Next()
	}
	if r.asked++; r.asked > 3 {
		r.stop() // instead of being asked for ever
	}
	return Entry{}, r.line, errBroken
}

// TestImportOfBrokenFile: an import ends with the file's error, even before the
// line to continue from, and isn't complete.
func TestImportOfBrokenFile(t *testing.T) {
	_, s := start(t)
	for name, c := range map[string]struct{ line, from, next int }{
		"from the beginning":     {3, 0, 3},
		"before it":              {3, 2, 3},
		"behind it":              {3, 9, 9},
		"on an unknown line":     {0, 0, 3},
		"unknown, from the next": {0, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rows := &failingRows{Rows: JSONRows(strings.NewReader(rowOf("a", "1")+rowOf("b", "1")), schema.Application, nil), line: c.line, good: 2, stop: cancel}
			got, err := Import{Kind: schema.Application}.Run(ctx, s, rows, c.from)
			if !errors.Is(err, errBroken) || rows.asked > 1 {
				t.Errorf("asked %d times, %v", rows.asked, err)
			}
			if got.Next == 0 || got.Next > c.next {
				t.Errorf("got line %d to continue from, want at most %d", got.Next, c.next)
			}
		})
	}
}

// TestImportOfBadHeader: no later line becomes the header.
func TestImportOfBadHeader(t *testing.T) {
	server, s := start(t)
	for name, file := range map[string]string{"no id": "a,b\nid,a\nx,1\n", "empty": ""} {
		for _, from := range []int{0, 2} {
			_, err := Import{Kind: schema.Application}.Run(t.Context(), s, CSVRows(strings.NewReader(file), schema.Application, nil), from)
			if err == nil || !strings.Contains(err.Error(), "line 1") || errors.Is(err, io.EOF) {
				t.Errorf("%s, from %d: got %v", name, from, err)
			}
		}
	}
	expectEverything(t, server.Client(), nil)
}

func TestImportOfCSV(t *testing.T) {
	server, s := start(t)
	file := "\ufeffid,name,note\r\no1,Acme,\"line 1\r\nline 2\"\r\n\r\n\"o2\",,x\r\nbad\r\no3,C,\r\n"
	var bad []int
	run := Import{Kind: schema.Organization, SkipBad: true, Bad: func(e *RowError) { bad = append(bad, e.Line) }}
	got, err := run.Run(t.Context(), s, CSVRows(strings.NewReader(file), schema.Application, nil), 0)
	if err != nil || got != (Summary{Counts: Counts{New: 3}, Bad: 1}) || !slices.Equal(bad, []int{6}) {
		t.Errorf("got %+v, bad %v, %v", got, bad, err)
	}
	expectStored(t, server.Client(), prefix+"org:o1", schema.Record{"code": "o1", "name": "Acme", "note": "line 1\nline 2"})
	expectStored(t, server.Client(), prefix+"org:o2", schema.Record{"code": "o2", "note": "x"})
	expectStored(t, server.Client(), prefix+"org:o3", schema.Record{"code": "o3", "name": "C"})
}
