package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	marker     = "kinde.json" // at the top of a repository of workflows
	defaultDir = "kindeSrc"   // its rootDir, unless it names another
	maxEntries = 20000        // of a folder that is searched
)

// workflowName is how a workflow's file is named.
var workflowName = regexp.MustCompile(`(?i)workflow\.(ts|js|tsx|jsx)$`)

// Files returns the workflow files at path, which is a file or a folder. In a
// repository with a kinde.json, which may be at path, above it or below it, they
// are in <rootDir>/environment/workflows and below. Elsewhere they are all files
// below path that are named like claimsWorkflow.ts. It never looks into
// node_modules and hidden folders. The files are absolute and sorted, and there
// is at least one.
func Files(path string) ([]string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the workflow can't be read: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	markers, files, err := search(path)
	if err != nil {
		return nil, err
	}
	if above := ascend(filepath.Dir(path), marker); len(markers) == 0 && above != "" {
		markers = []string{filepath.Join(above, marker)}
	}
	return choose(path, markers, files)
}

// search returns the files called kinde.json and the workflow files below dir.
func search(dir string) (markers, files []string, err error) {
	real, err := filepath.EvalSymlinks(dir) // WalkDir doesn't follow a link
	if err != nil {
		return nil, nil, fmt.Errorf("the workflow can't be read: %w", err)
	}
	entries := 0
	err = filepath.WalkDir(real, func(path string, entry fs.DirEntry, err error) error {
		if entries++; entries > maxEntries {
			return fmt.Errorf("%s has more than %d files and folders: name the repository's folder or the workflow's file", dir, maxEntries)
		}
		switch shown := dir + strings.TrimPrefix(path, real); {
		case err != nil:
			return fmt.Errorf("the workflow can't be read: %w", err)
		case entry.IsDir() && path != real && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !regular(path):
		case entry.Name() == marker:
			markers = append(markers, shown)
		case workflowName.MatchString(entry.Name()):
			files = append(files, shown)
		}
		return nil
	})
	return markers, files, err
}

// choose returns those of the files below path that are where the markers say.
func choose(path string, markers, files []string) ([]string, error) {
	if len(markers) == 0 && len(files) == 0 {
		return nil, fmt.Errorf("%s has no workflow: want a file that is named like claimsWorkflow.ts, or a folder with %s", path, marker)
	}
	if len(markers) == 0 {
		return files, nil
	}
	var chosen, folders []string
	var errs []error
	for _, name := range markers {
		folder, err := workflows(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		folders = append(folders, folder)
		for _, file := range files {
			if within(folder, file) {
				chosen = append(chosen, file)
			}
		}
	}
	if errs == nil && chosen == nil {
		errs = append(errs, fmt.Errorf("%s has no workflow: want a file that is named like claimsWorkflow.ts in %s, as %s says", path, strings.Join(folders, " or "), markers[0]))
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), errors.Join(errs...)
}

// workflows returns the folder of the workflows in the repository of a kinde.json.
func workflows(name string) (string, error) {
	text, err := readFile(name)
	if err != nil {
		return "", err
	}
	var settings struct {
		RootDir string `json:"rootDir"`
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		return "", fmt.Errorf(`%s: want JSON such as {"version": "2024-12-09", "rootDir": "kindeSrc"}: %w`, name, err)
	}
	dir := settings.RootDir
	if dir == "" {
		dir = defaultDir
	}
	if !filepath.IsLocal(dir) {
		return "", fmt.Errorf("%s: rootDir is %q, want a folder of the repository", name, dir)
	}
	return filepath.Join(filepath.Dir(name), dir, "environment", "workflows"), nil
}

// ascend returns the nearest folder at dir or above that has a file of one of
// the names, "" if none has. The file system's root doesn't count.
func ascend(dir string, names ...string) string {
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		for _, name := range names {
			if regular(filepath.Join(dir, name)) {
				return dir
			}
		}
	}
	return ""
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
