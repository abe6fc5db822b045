package reconcile

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// maxFileSize is the number of bytes that a file of a directory may have.
const maxFileSize = 256 << 20

// Directory is a source in files, such as a checkout of a Git repository or a
// mounted ConfigMap: DIR/app, DIR/org and DIR/user hold the records of a kind,
// one in a .json file, one a line in a .jsonl file, in the form that export
// writes. Other files don't count, nor does what begins with a dot.
type Directory string

// folders are those of a directory.
var folders = map[string]schema.Kind{"app": schema.Application, "org": schema.Organization, "user": schema.User}

// Pages implements [Source] with a single page. A mistake in any file is an
// error before anything is written; the error joins all. So it is if a file
// changes while they are read.
func (d Directory) Pages(ctx context.Context, _ string) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		version, err := d.Version()
		if err != nil {
			yield(Page{}, err)
			return
		}
		files, err := d.files()
		if err != nil {
			yield(Page{}, err)
			return
		}
		all := collection{page: Page{Records: map[schema.Kind][]records.Entry{}}, from: map[string]string{}}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				yield(Page{}, err)
				return
			}
			all.add(f)
		}
		if now, err := d.Version(); err != nil || now != version {
			all.mistakes = append(all.mistakes, err, fmt.Errorf("%s changed while it was read", string(d)))
		}
		if err := errors.Join(all.mistakes...); err != nil {
			yield(Page{}, err)
			return
		}
		yield(all.page, nil)
	}
}

// Version changes when a file does, comes or goes: it covers names, sizes and
// times.
func (d Directory) Version() (string, error) {
	files, err := d.files()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%q %d %d\n", f.path, f.info.Size(), f.info.ModTime().UnixNano())
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// sourceFile is a file with records of kind.
type sourceFile struct {
	kind schema.Kind
	path string
	info fs.FileInfo // of what a link leads to
}

// maxDepth is how deep folders may lie in each other; links can lie in
// themselves.
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

// list calls add with every file below folder that counts. It follows links, of
// which Kubernetes makes a mounted ConfigMap; one that leads nowhere is an error.
func list(folder string, depth int, add func(path string, info fs.FileInfo)) error {
	if depth == 0 {
		return fmt.Errorf("%s: more than %d folders in each other", folder, maxDepth)
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

// format returns how a file is written, "" if it doesn't count.
func format(path string) string {
	switch extension := filepath.Ext(path); extension {
	case ".json", ".jsonl":
		return extension
	}
	return ""
}

// collection is what was read of a directory.
type collection struct {
	page     Page
	from     map[string]string // where each record is, by kind and identifier
	mistakes []error
}

func (c *collection) add(f sourceFile) {
	text, err := readBounded(f.path)
	if err != nil {
		c.mistakes = append(c.mistakes, err)
		return
	}
	if format(f.path) == ".json" {
		e, err := records.ParseEntry(bytes.TrimSpace(text))
		c.take(f, f.path, e, err)
		return
	}
	rows := records.JSONRows(bytes.NewReader(text))
	for {
		e, line, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		var bad *records.RowError
		if errors.As(err, &bad) {
			err = bad.Cause
		}
		c.take(f, fmt.Sprintf("%s:%d", f.path, line), e, err)
		if err != nil && bad == nil {
			return // it can't be read any further
		}
	}
}

// take adds the record at where.
func (c *collection) take(f sourceFile, where string, e records.Entry, err error) {
	if err == nil {
		e.Properties, err = f.kind.Complete(e.ID, e.Properties)
	}
	key := f.kind.Key("", e.ID)
	if before, twice := c.from[key]; err == nil && twice {
		err = fmt.Errorf("%s %q is in %s already", f.kind, e.ID, before)
	}
	if err != nil {
		c.mistakes = append(c.mistakes, fmt.Errorf("%s: %w", where, err))
		return
	}
	c.from[key] = where
	c.page.Records[f.kind] = append(c.page.Records[f.kind], e)
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFileSize:
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFileSize)
	}
	return text, nil
}
