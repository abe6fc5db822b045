package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// maxFileSize is the most bytes of a file in a directory.
const maxFileSize = 256 << 20

// Directory is a source in files, such as a checkout of a Git repository or a
// mounted ConfigMap. DIR/app, DIR/org and DIR/user hold the records of a kind: one
// in a .json file, or one a line in a .jsonl file, as export writes them.
type Directory struct {
	Path  string
	Names schema.Names // that have a meaning in the records
	// Unread, if not nil, is called with each file that isn't read, and why, each
	// time that the files are read.
	Unread func(path, reason string)
}

// Pages implements [Source] with a single page. The error joins those of all
// files, so nothing is written unless every file is good. It is also an error if
// a file changes while they are read.
func (d Directory) Pages(ctx context.Context, _ string) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) { yield(d.read(ctx)) }
}

func (d Directory) read(ctx context.Context) (Page, error) {
	files, err := d.files()
	if err != nil {
		return Page{}, err
	}
	all := collection{page: Page{Records: map[schema.Kind][]records.Entry{}}, places: map[string]string{}, names: d.Names}
	for _, f := range files {
		if f.unread != "" {
			if d.Unread != nil {
				d.Unread(f.path, f.unread)
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		all.add(f)
	}
	if now, err := d.files(); err != nil || version(now) != version(files) {
		all.errs = append(all.errs, err, fmt.Errorf("%s changed while it was read", d.Path))
	}
	if err := errors.Join(all.errs...); err != nil {
		return Page{}, err
	}
	return all.page, nil
}

// Version returns a text that changes with the name, size or time of any file that
// is read, and with the name of any other.
func (d Directory) Version() (string, error) {
	files, err := d.files()
	text := version(files)
	for _, f := range files {
		if f.unread != "" {
			text += fmt.Sprintf("%q\n", f.path)
		}
	}
	return text, err
}

func version(files []sourceFile) string {
	var text []byte
	for _, f := range files {
		if f.unread == "" {
			text = fmt.Appendf(text, "%q %d %d\n", f.path, f.info.Size(), f.info.ModTime().UnixNano())
		}
	}
	return string(text)
}

// collection is what was read of a directory.
type collection struct {
	names  schema.Names
	page   Page
	places map[string]string // where each record is, by kind and identifier
	errs   []error
}

func (c *collection) add(f sourceFile) {
	if f.info.Size() > maxFileSize {
		c.errs = append(c.errs, fmt.Errorf("%s has more than %d bytes", f.path, maxFileSize))
		return
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		c.errs = append(c.errs, err)
		return
	}
	if format(f.path) == ".json" {
		e, err := records.ParseEntry(bytes.TrimSpace(schema.WithoutMark(text)), f.kind, c.names)
		if schema.IsUTF16(text) {
			err = errors.New("it is UTF-16; save the file as UTF-8")
		}
		c.addEntry(f, f.path, e, err)
		return
	}
	rows := records.JSONRows(bytes.NewReader(text), f.kind, c.names)
	for {
		e, line, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		bad, isBad := errors.AsType[*records.RowError](err)
		if isBad {
			err = bad.Cause
		}
		c.addEntry(f, fmt.Sprintf("%s:%d", f.path, line), e, err)
		if err != nil && !isBad {
			return // the rest of the file can't be read
		}
	}
}

// addEntry adds the record at place, or its error.
func (c *collection) addEntry(f sourceFile, place string, e records.Entry, err error) {
	if err == nil {
		e.Properties, err = f.kind.Complete(e.ID, e.Properties)
	}
	key := f.kind.Key("", e.ID)
	if first, twice := c.places[key]; err == nil && twice {
		err = fmt.Errorf("%s %q is in %s already", f.kind, e.ID, first)
	}
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", place, err))
		return
	}
	c.places[key] = place
	c.page.Records[f.kind] = append(c.page.Records[f.kind], e)
}
