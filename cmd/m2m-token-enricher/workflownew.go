package main

import (
	"cmp"
	"context"
	_ "embed" // the file that new writes
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
	"m2m-token-enricher/schema"
)

//go:embed m2mTokenWorkflow.ts
var newWorkflow []byte

// Where a repository of Kinde's has its workflows.
const (
	kindeFile     = "kinde.json"
	kindeSettings = "{\n  \"version\": \"2024-12-09\",\n  \"rootDir\": \"kindeSrc\"\n}\n"
	workflowFile  = "environment/workflows/m2mTokenWorkflow.ts" // below rootDir
	workflowEnd   = "workflow.ts"                               // of the name of each workflow's file, in any case
)

// new writes a workflow to start from into a file or a repository's folder.
func (r *workflowRun) new(_ context.Context, cmd *cli.Command) error {
	path := cmp.Or(cmd.Args().First(), ".")
	var err error
	if slices.Contains([]string{".ts", ".tsx", ".js", ".jsx"}, strings.ToLower(filepath.Ext(path))) {
		err = r.newFile(path)
	} else {
		err = r.newRepository(path)
	}
	if err != nil {
		return err
	}
	visible.Fprintf(r.print.out, "check it: m2m-token-enricher workflow check %s\n", path)
	visible.Fprintf(r.print.out, "run it:   m2m-token-enricher workflow run %s -c kong.yml --client CLIENT_ID\n", path)
	return nil
}

func (r *workflowRun) newFile(path string) error {
	if !strings.HasSuffix(strings.ToLower(path), workflowEnd) {
		return usageError{fmt.Errorf("%s: the name of a workflow's file must end in Workflow.ts", path)}
	}
	return r.create(path, newWorkflow)
}

// newRepository also writes the repository's kinde.json if it has none.
func (r *workflowRun) newRepository(path string) error {
	settings := filepath.Join(path, kindeFile)
	root, err := rootDirectory(settings)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if err := r.create(filepath.Join(path, root, workflowFile), newWorkflow); err != nil || !missing {
		return err
	}
	return r.create(settings, []byte(kindeSettings))
}

// rootDirectory returns the folder for a repository's workflows, also with an error. The
// file at path names it.
func rootDirectory(path string) (string, error) {
	const usual = "kindeSrc"
	text, err := os.ReadFile(path)
	if err != nil {
		return usual, err // it names the file
	}
	var settings struct{ RootDir string }
	if err := json.Unmarshal(schema.WithoutMark(text), &settings); err != nil {
		return usual, fmt.Errorf("%s: %w", path, err)
	}
	root := cmp.Or(settings.RootDir, usual)
	if !filepath.IsLocal(root) {
		return usual, fmt.Errorf("%s: rootDir: %q is no folder of the repository", path, root)
	}
	return root, nil
}

// create writes a file that doesn't exist yet, with its folders.
func (r *workflowRun) create(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w; name another file", path, fs.ErrExist)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	visible.Fprintf(r.print.out, "wrote %s\n", path)
	return nil
}
