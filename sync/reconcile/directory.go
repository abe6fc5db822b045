package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// maxFileSize is the most bytes of a file in a directory.
const maxFileSize = 256 << 20

// Directory is a source in files, such as a checkout of a Git repository or a
// mounted ConfigMap. DIR/app, DIR/org and DIR/user hold the records of a kind: one
// in a .json file, or one a line in a .jsonl file, as export writes them. Other
// files are ignored, and names that begin with a dot.
type Directory string

// folders are those of a directory.
var folders = map[string]schema.Kind{"app": schema.Application, "org": schema.Organization, "user": schema.User}

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
	all := collection{page: Page{Records: map[schema.Kind][]records.Entry{}}, places: map[string]string{}}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		all.add(f)
	}
	if now, err := d.Version(); err != nil || now != version(files) {
		all.errs = append(all.errs, err, fmt.Errorf("%s changed while it was read", string(d)))
	}
	if err := errors.Join(all.errs...); err != nil {
		return Page{}, err
	}
	return all.page, nil
}

// Version returns a text that changes with the name, size or time of any file.
func (d Directory) Version() (string, error) {
	files, err := d.files()
	return version(files), err
}

func version(files []sourceFile) string {
	var text []byte
	for _, f := range files {
		text = fmt.Appendf(text, "%q %d %d\n", f.path, f.info.Size(), f.info.ModTime().UnixNano())
	}
	return string(text)
}

// sourceFile is a file with records of kind.
type sourceFile struct {
	kind schema.Kind
	path string
	info fs.FileInfo // of a link's target
}

// maxDepth is how deep folders may be nested. Links can form a loop.
const maxDepth = 16

// files lists the files with records, sorted by their paths.
func (d Directory) files() ([]sourceFile, error) {
	var files []sourceFile
	found := false
	for folder, kind := range folders {
		root := filepath.Join(string(d), folder)
		if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found = true
		err := list(root, maxDepth, func(path string, info fs.FileInfo) {
			files = append(files, sourceFile{kind, path, info})
		})
		if err != nil {
			return nil, err // it names the path
		}
	}
	if !found {
		return nil, fmt.Errorf("%s has none of the folders app, org and user", string(d))
	}
	slices.SortFunc(files, func(a, b sourceFile) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// list calls add with every file with records below folder. It follows links,
// because Kubernetes mounts a ConfigMap with them. A broken link is an error.
func list(folder string, depth int, add func(path string, info fs.FileInfo)) error {
	if depth == 0 {
		return fmt.Errorf("%s: folders are nested more than %d deep", folder, maxDepth)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		link := entry.Type()&fs.ModeSymlink != 0
		if strings.HasPrefix(entry.Name(), ".") || !entry.IsDir() && !link && format(path) == "" {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			if err := list(path, depth-1, add); err != nil {
				return err
			}
		case info.Mode().IsRegular() && format(path) != "":
			add(path, info)
		}
	}
	return nil
}

// format returns the format of a file, "" if it is ignored.
func format(path string) string {
	switch extension := filepath.Ext(path); extension {
	case ".json", ".jsonl":
		return extension
	}
	return ""
}

// collection is what was read of a directory.
type collection struct {
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
		e, err := records.ParseEntry(bytes.TrimSpace(text))
		c.addEntry(f, f.path, e, err)
		return
	}
	rows := records.JSONRows(bytes.NewReader(text))
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
