//go:build !noworkflow

package workflow

import (
	"errors"
	"fmt"
	"strings"

	"m2m-token-enricher/plugin/workflow/bundle"
	"m2m-token-enricher/plugin/workflow/fetch"
)

// Open finds, bundles and checks the workflow at o.Path. The error joins one error
// for each mistake, with its place in the file. A file whose trigger can't be read
// counts only if no other file has this trigger: the rest of a repository isn't run.
func Open(o Options) (*Workflow, error) {
	files, err := bundle.Files(o.Path)
	if err != nil {
		return nil, err
	}
	hidden := newVeil(o.Env)
	var found []candidate
	var mistakes, unread []error
	for _, file := range files {
		c, err := read(file, o, hidden)
		switch {
		case err == nil:
			found = append(found, c)
		case c.settings.trigger == trigger:
			mistakes = append(mistakes, err)
		default:
			unread = append(unread, err)
		}
	}
	if mistakes != nil {
		return nil, errors.Join(mistakes...)
	}
	c, err := choose(o.Path, found, unread)
	if err != nil {
		return nil, err
	}
	return &Workflow{
		program: c.program, settings: c.settings, env: o.Env, check: o.CheckClaim, veil: hidden,
		client: fetch.New(o.Domain, o.AllowHosts, o.Transport),
	}, nil
}

// candidate is a workflow file, whatever its trigger.
type candidate struct {
	path     string
	bundle   *bundle.Bundle
	program  *program
	settings settings
}

// read bundles a file and reads its settings. Mistakes in them and in the code count
// only in a file of this trigger, or without one.
func read(path string, o Options, hidden *veil) (c candidate, err error) {
	c.path = path
	if c.bundle, err = bundle.Build(path); err != nil {
		return c, err
	}
	c.program = newProgram(c.bundle.File, c.bundle.Text, c.bundle.Program)
	var mistakes []mistake
	if c.settings, mistakes, err = readSettings(c.program, o.Env, hidden); err != nil {
		return c, err
	}
	if c.settings.trigger == trigger || c.settings.trigger == "" {
		err = errors.Join(placed(path, c.program.file, mistakes), c.bundle.Check(c.settings.bindings, o.CheckClaim))
	}
	return c, err
}

// choose returns the one workflow of this trigger. If there is none, the error also
// has those of unread files.
func choose(path string, found []candidate, unread []error) (candidate, error) {
	var chosen []candidate
	var files []string
	others := unread
	for _, c := range found {
		if c.settings.trigger == trigger {
			chosen = append(chosen, c)
			files = append(files, c.program.file)
			continue
		}
		others = append(others, placed(c.path, c.program.file, []mistake{mistakef("trigger", "the trigger is %q, and only workflows with %q run here", c.settings.trigger, trigger)}))
	}
	switch {
	case len(chosen) == 1:
		return chosen[0], nil
	case len(chosen) > 1:
		return candidate{}, fmt.Errorf("%d workflows at %s have the trigger %q: %s; name one of the files", len(chosen), path, trigger, strings.Join(files, ", "))
	}
	return candidate{}, errors.Join(others...)
}
