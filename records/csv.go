package records

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// CSVRows reads rows of records of kind (RFC 4180). The first line names the
// properties, one of them "id", and has the delimiter: a comma, a semicolon or a
// tab. An empty field is an absent property. A column without a name must be empty,
// and a name that may be taken for one in names ends the reading.
func CSVRows(r io.Reader, kind schema.Kind, names schema.Names) Rows {
	bounded := &rowReader{r: withoutMark(r)}
	return &csvRows{
		input: bufio.NewReader(bounded), bounded: bounded, id: -1,
		kind: kind, meant: schema.Names{kind: append(slices.Clone(names[kind]), idColumn)},
	}
}

// idColumn is the name of the column with the identifiers.
const idColumn = "id"

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
	input   *bufio.Reader
	bounded *rowReader
	kind    schema.Kind
	meant   schema.Names // that a column may have, with idColumn

	reader *csv.Reader // nil until the header is read
	line   int         // of the row before
	names  []string    // of the columns; "" if a column has none
	id     int         // column of the identifier
}

func (r *csvRows) Next() (Entry, int, error) {
	r.bounded.left = maxRowSize
	if r.id < 0 {
		if err := r.header(); err != nil {
			return Entry{}, r.line, fmt.Errorf("line %d: %w", r.line, err)
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
	r.line, _ = r.reader.FieldPos(0)
	e := Entry{ID: strings.Clone(fields[r.id]), Properties: schema.Record{}}
	for i, value := range fields {
		switch {
		case i == r.id || value == "":
		case r.names[i] == "":
			return Entry{}, r.line, &RowError{r.line, fmt.Errorf("column %d has a value, but no name in the first line", i+1)}
		default:
			e.Properties[r.names[i]] = strings.Clone(value)
		}
	}
	return e, r.line, nil
}

// header reads the names of the columns. Its error joins the errors in all of
// them.
func (r *csvRows) header() error {
	r.line = 1
	text := r.headerText()
	comma, err := delimiter(text)
	if err != nil {
		return err
	}
	r.reader = csv.NewReader(io.MultiReader(bytes.NewReader(text), r.input))
	r.reader.Comma, r.reader.ReuseRecord = comma, true
	fields, err := r.reader.Read()
	if err != nil && !errors.Is(err, io.EOF) { // an empty file has a header without names
		return err
	}
	if len(fields) > 0 {
		r.line, _ = r.reader.FieldPos(0)
	}
	var errs []error
	for i, name := range fields {
		name = strings.Clone(name)
		if err := r.checkColumn(name); err != nil {
			errs = append(errs, fmt.Errorf("column %d: %w", i+1, err))
		}
		if strings.TrimSpace(name) == "" {
			name = ""
		}
		r.names = append(r.names, name)
	}
	r.id = slices.Index(r.names, idColumn)
	if r.id < 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("no column is called %q", idColumn))
	}
	return errors.Join(errs...)
}

// checkColumn returns why a column can't be called name, after those in r.names.
func (r *csvRows) checkColumn(name string) error {
	trimmed := strings.TrimSpace(name)
	if trimmed == "" {
		return nil
	}
	if err := r.meant.CheckName(r.kind, name); err != nil {
		return err
	}
	switch before := slices.Index(r.names, name); {
	case before >= 0:
		return fmt.Errorf("%.300q is column %d already", name, before+1)
	case trimmed != name:
		return fmt.Errorf("%.300q begins or ends with white space; remove it", name)
	}
	return nil
}

// headerText reads the first line that isn't empty, with the line ends in its
// quotes. What can't be read, the reader of the rows meets again.
func (r *csvRows) headerText() []byte {
	var text []byte
	quoted := false
	for {
		c, err := r.input.ReadByte()
		if err != nil {
			return text
		}
		text = append(text, c)
		quoted = quoted != (c == '"')
		if c == '\n' && !quoted && len(bytes.Trim(text, "\r\n")) > 0 {
			return text
		}
	}
}

// delimiter returns the delimiter that a header has outside of quotes. A header of
// one name has none; then it is a comma.
func delimiter(header []byte) (rune, error) {
	var found []rune
	quoted := false
	for i, c := range string(header) {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\r' && i+1 < len(header) && header[i+1] != '\n':
			return 0, errors.New("its lines end in a carriage return alone; save the file with line feeds")
		case strings.ContainsRune(",;\t", c) && !slices.Contains(found, c):
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return ',', nil
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("%q and %q both stand between its names; put a name that has one of them in double quotes", found[0], found[1])
}
