//go:build noworkflow

package workflow

import (
	"context"
	"crypto/sha256"
	"errors"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/splice"
)

// Workflow is never opened by this binary.
type Workflow struct{}

// Open returns the error of [Supported].
func Open(Options) (*Workflow, error) { return nil, Supported() }

// Supported says that this binary has no workflows.
func Supported() error {
	return errors.New("this binary was built without workflows (-tags noworkflow); install one with them, or use none in the configuration")
}

// Run implements [enrich.Workflow].
func (*Workflow) Run(context.Context, enrich.Event, []splice.Member, enrich.Related) ([]splice.Member, []string, error) {
	return nil, nil, errors.New("built without workflows")
}

// Policy implements [enrich.Workflow].
func (*Workflow) Policy() string { return "" }

// Info describes nothing.
func (*Workflow) Info() Info { return Info{} }

// Digest is that of nothing.
func (*Workflow) Digest() (_ [sha256.Size]byte) { return }

// Close does nothing.
func (*Workflow) Close() {}
