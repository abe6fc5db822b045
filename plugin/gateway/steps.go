package gateway

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// Step is the time that one exchange spent in one of its steps. Within an
// exchange each step comes at most once.
type Step struct {
	Name           string // verify, lookup, workflow or sign
	Started, Ended time.Time
}

// steps measure one exchange by wrapping what the decision asks. Lookups of several
// records are one step, from the first to the last. Those of a workflow are within
// its step. Not for concurrent use.
type steps struct {
	of                             enrich.Dependencies
	verify, lookup, workflow, sign Step
}

func newSteps(of enrich.Dependencies) *steps {
	return &steps{of: of, verify: Step{Name: "verify"}, lookup: Step{Name: "lookup"}, workflow: Step{Name: "workflow"}, sign: Step{Name: "sign"}}
}

// dependencies returns the wrapped ones.
func (s *steps) dependencies() enrich.Dependencies {
	deps := enrich.Dependencies{Verifier: s, Ring: s.ring, Records: s, Now: s.of.Now}
	if s.of.Workflow != nil {
		deps.Workflow = measuredWorkflow{s.of.Workflow, &s.workflow}
	}
	return deps
}

// report calls step with every step that was taken.
func (s *steps) report(ctx context.Context, step func(context.Context, Step)) {
	for _, one := range []Step{s.verify, s.lookup, s.workflow, s.sign} {
		if !one.Started.IsZero() {
			step(ctx, one)
		}
	}
}

// measure starts the step, or continues it, until end is called.
func (s *Step) measure() (end func()) {
	if s.Started.IsZero() {
		s.Started = time.Now()
	}
	return func() { s.Ended = time.Now() }
}

// Verify implements [enrich.Verifier].
func (s *steps) Verify(ctx context.Context, token string) (*jws.Token, error) {
	defer s.verify.measure()()
	return s.of.Verifier.Verify(ctx, token)
}

// Record implements [enrich.Records].
func (s *steps) Record(ctx context.Context, kind schema.Kind, id string) (schema.Record, error) {
	defer s.lookup.measure()()
	return s.of.Records.Record(ctx, kind, id)
}

type measuredWorkflow struct {
	enrich.Workflow
	step *Step
}

// Run implements [enrich.Workflow].
func (w measuredWorkflow) Run(ctx context.Context, event enrich.Event, given []splice.Member, related enrich.Related) ([]splice.Member, []string, error) {
	defer w.step.measure()()
	return w.Workflow.Run(ctx, event, given, related)
}

func (s *steps) ring(ctx context.Context) (enrich.Ring, error) {
	ring, err := s.of.Ring(ctx)
	return measuredRing{ring, &s.sign}, err
}

type measuredRing struct {
	enrich.Ring
	sign *Step
}

// Sign implements [enrich.Ring].
func (r measuredRing) Sign(ctx context.Context, typ jsontext.Value, payload []byte) (string, error) {
	defer r.sign.measure()()
	return r.Ring.Sign(ctx, typ, payload)
}
