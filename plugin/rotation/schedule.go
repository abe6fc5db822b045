package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Step is a step of a rotation.
type Step struct {
	Verb string // add, promote, retire or remove
	Kid  string // "" for add
	Due  time.Time
}

func (s Step) String() string {
	if s.Kid == "" {
		return s.Verb
	}
	return s.Verb + " " + s.Kid
}

// Schedule returns the coming steps, in the order in which steps that are due are
// taken: remove, retire, promote, add. It has none for a key that another tool
// added, because nothing is known of that key.
func (s *Set) Schedule(p Policy) []Step {
	var steps []Step
	for _, k := range s.Keys[1:] {
		if k.signed() && !k.Foreign {
			steps = append(steps, Step{"remove", k.ID, k.tokensExpired(p)})
		}
	}
	for _, k := range s.Keys[1:] {
		if k.Role == Former && !k.Foreign {
			steps = append(steps, Step{"retire", k.ID, k.SignedUntil.Add(p.MaxAge + propagation)})
		}
	}
	next := slices.IndexFunc(s.Keys, func(k Key) bool { return k.Role == Next })
	if next >= 0 {
		steps = append(steps, Step{"promote", s.Keys[next].ID, s.Keys[next].publishedEverywhere(p)})
	} else {
		steps = append(steps, Step{"add", "", s.Keys[0].Signing.Add(p.Every)})
	}
	return steps
}

// Rotate takes the first step that is due, if any, and returns it and the next
// one. It never takes two: the next depends on the file after the first.
func (s *Set) Rotate(p Policy, now time.Time) (taken, next *Step, err error) {
	step := NextStep(s.Schedule(p), now) // one always exists: add or promote
	if now.Before(step.Due) {
		return nil, step, nil
	}
	if err := s.take(*step, p, now); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", step, err)
	}
	if err := s.refresh(now); err != nil {
		return nil, nil, err
	}
	return step, NextStep(s.Schedule(p), now), nil
}

// NextStep returns the step to take first: the first that is due, or the one that
// is due next. It returns nil if there are no steps.
func NextStep(steps []Step, now time.Time) *Step {
	var next *Step
	for _, step := range steps {
		if !now.Before(step.Due) {
			return &step
		}
		if next == nil || step.Due.Before(next.Due) {
			next = &step
		}
	}
	return next
}

func (s *Set) take(step Step, p Policy, now time.Time) error {
	switch step.Verb {
	case "remove":
		return s.Remove(step.Kid, p, false, now)
	case "retire":
		return s.Retire(step.Kid, now)
	case "promote":
		return s.Promote(step.Kid, p, false, now)
	}
	_, err := s.Add("", now)
	return err
}

// refresh reads the set again as it will be written.
func (s *Set) refresh(now time.Time) error {
	text, err := s.Text()
	if err != nil {
		return err
	}
	fresh, err := Parse(text, now)
	if err != nil {
		return err
	}
	*s = *fresh
	return nil
}
