package records

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

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

// JSONRows reads JSON lines, each an [Entry] of kind as ParseEntry reads it. Empty
// lines are skipped.
func JSONRows(r io.Reader, kind schema.Kind, names schema.Names) Rows {
	scanner := bufio.NewScanner(withoutMark(r))
	scanner.Buffer(make([]byte, 64<<10), maxRowSize)
	return &jsonRows{scanner: scanner, kind: kind, names: names}
}

type jsonRows struct {
	scanner *bufio.Scanner
	kind    schema.Kind
	names   schema.Names
	line    int
}

func (r *jsonRows) Next() (Entry, int, error) {
	for r.scanner.Scan() {
		r.line++
		text := bytes.TrimSpace(r.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		e, err := ParseEntry(text, r.kind, r.names)
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
	start, _ := buffered.Peek(len("\ufeff")) // an error comes again with the first row
	if schema.IsUTF16(start) {
		return unreadable{errors.New("it is UTF-16; save the file as UTF-8")}
	}
	_, _ = buffered.Discard(len(start) - len(schema.WithoutMark(start)))
	return buffered
}

// unreadable is a file that can't be read.
type unreadable struct{ error }

func (u unreadable) Read([]byte) (int, error) { return 0, u.error }

// entryForm is the form of an entry, for errors.
const entryForm = `{"id": "…", "properties": {"…": "…"}}`

// ParseEntry decodes an entry of kind. A property that is null is absent. Unknown
// and duplicate members are errors, properties that are neither a string nor null,
// and properties whose names may be taken for one in names.
func ParseEntry(text []byte, kind schema.Kind, names schema.Names) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(text, &e, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, withoutValue(err)
	}
	if e.ID == "" || e.Properties == nil {
		return Entry{}, errors.New("not of the form " + entryForm)
	}
	if err := names.Check(kind, e.Properties); err != nil {
		return Entry{}, err
	}
	return e, nil // null became an empty property, which is absent
}

// withoutValue drops the value from the decoder's error.
func withoutValue(err error) error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) && semantic.JSONKind != 0 {
		return fmt.Errorf("%s: a JSON value of kind %s doesn't belong there; the form is %s", cmp.Or(semantic.JSONPointer, "/"), semantic.JSONKind, entryForm)
	}
	return err
}
