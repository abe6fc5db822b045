package records

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"

	"m2m-token-enricher/schema"
)

// maxRowSize is the most bytes of a row: those of the largest record, each
// escaped with six.
const maxRowSize = 8 << 20

// Rows reads records from a file, one after the other.
type Rows interface {
	// Next returns the next record and its line, from 1. At the end the error is
	// io.EOF. After a *RowError, Next can be called again; after any other error
	// the rest of the file can't be read.
	Next() (Entry, int, error)
}

// RowError is a row that isn't a record. It shows no value.
type RowError struct {
	Line  int
	Cause error
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Cause) }
func (e *RowError) Unwrap() error { return e.Cause }

// JSONRows reads JSON lines, each an [Entry]. A property that is null is absent.
// Empty lines are skipped.
func JSONRows(r io.Reader) Rows {
	scanner := bufio.NewScanner(withoutMark(r))
	scanner.Buffer(make([]byte, 64<<10), maxRowSize)
	return &jsonRows{scanner: scanner}
}

type jsonRows struct {
	scanner *bufio.Scanner
	line    int
}

func (r *jsonRows) Next() (Entry, int, error) {
	for r.scanner.Scan() {
		r.line++
		text := bytes.TrimSpace(r.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		e, err := ParseEntry(text)
		if err != nil {
			return e, r.line, &RowError{r.line, err}
		}
		return e, r.line, nil
	}
	if err := r.scanner.Err(); err != nil {
		return Entry{}, r.line + 1, fmt.Errorf("line %d: %w", r.line+1, err)
	}
	return Entry{}, r.line, io.EOF
}

// withoutMark drops the byte order mark with which spreadsheets begin a file.
func withoutMark(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if mark, _ := buffered.Peek(len("\ufeff")); string(mark) == "\ufeff" { // an error comes again with the first row
		_, _ = buffered.Discard(len(mark))
	}
	return buffered
}

// ParseEntry decodes an entry. Unknown and duplicate members are errors, and
// properties that are neither a string nor null.
func ParseEntry(text []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(text, &e, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, withoutValue(err)
	}
	if e.ID == "" || e.Properties == nil {
		return Entry{}, errors.New(`not of the form {"id": "…", "properties": {"…": "…"}}`)
	}
	return e, nil // null became an empty property, which is absent
}

// withoutValue drops the value from the decoder's error.
func withoutValue(err error) error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) && semantic.JSONKind != 0 {
		return fmt.Errorf("%s: a JSON value of kind %s doesn't belong there", cmp.Or(semantic.JSONPointer, "/"), semantic.JSONKind)
	}
	return err
}

// CSVRows reads comma-separated values (RFC 4180) whose first line names the
// properties, one of them "id". An empty field is an absent property.
func CSVRows(r io.Reader) Rows {
	bounded := &rowReader{r: withoutMark(r)}
	reader := csv.NewReader(bounded)
	reader.ReuseRecord = true
	return &csvRows{reader: reader, bounded: bounded, id: -1}
}

// rowReader limits a row to maxRowSize bytes.
type rowReader struct {
	r    io.Reader
	left int
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("a row has more than %d bytes", maxRowSize)
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

type csvRows struct {
	reader  *csv.Reader
	bounded *rowReader
	line    int // of the row before
	names   []string
	id      int // column of the identifier; -1 until the header is read
}

func (r *csvRows) Next() (Entry, int, error) {
	r.bounded.left = maxRowSize
	if r.id < 0 {
		if err := r.header(); err != nil {
			return Entry{}, 1, err
		}
	}
	fields, err := r.reader.Read()
	if errors.Is(err, io.EOF) {
		return Entry{}, 0, io.EOF
	}
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		r.line = bad.StartLine
		return Entry{}, r.line, &RowError{r.line, bad.Err}
	}
	if err != nil {
		return Entry{}, r.line + 1, fmt.Errorf("after line %d: %w", r.line, err)
	}
	line, _ := r.reader.FieldPos(0)
	r.line = line
	e := Entry{ID: strings.Clone(fields[r.id]), Properties: schema.Record{}}
	for i, value := range fields {
		if i != r.id && value != "" {
			e.Properties[r.names[i]] = strings.Clone(value)
		}
	}
	return e, line, nil
}

func (r *csvRows) header() error {
	r.line = 1
	fields, err := r.reader.Read()
	if err != nil && !errors.Is(err, io.EOF) { // an empty file has a header without names
		return fmt.Errorf("line 1: %w", err)
	}
	seen := map[string]bool{}
	for i, name := range fields {
		name = strings.Clone(name)
		if name == "" || seen[name] {
			return fmt.Errorf("line 1: column %d has no name of its own", i+1)
		}
		seen[name] = true
		r.names = append(r.names, name)
		if name == "id" {
			r.id = i
		}
	}
	if r.id < 0 {
		return errors.New(`line 1: no column is called "id"`)
	}
	return nil
}
