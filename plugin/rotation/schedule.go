package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Step is a step of a key's life that the file's own history asks for.
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

// Schedule returns the steps that lie ahead in the order in which they are
// taken when they are due: remove, retire, promote, add. Of a key that another
// tool put in nothing is known, so nothing is scheduled.
func (s *Set) Schedule(p Policy) []Step {
	var steps []Step
	for _, k := range s.Keys[1:] {
		if k.signed() && !k.Foreign {
			steps = append(steps, Step{"remove", k.ID, k.forgotten(p)})
		}
	}
	for _, k := range s.Keys[1:] {
		if k.Role == Former && !k.Foreign {
			steps = append(steps, Step{"retire", k.ID, k.SignedUntil.Add(p.MaxAge + settling)})
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

// Rotate takes the first step that is due, if one is, and returns it and the
// one that comes next. It never takes two: the next is judged by the file that
// then is there.
func (s *Set) Rotate(p Policy, now time.Time) (taken, next *Step, err error) {
	step := Foremost(s.Schedule(p), now) // there always is one: add or promote
	if now.Before(step.Due) {
		return nil, step, nil
	}
	if err := s.take(*step, p, now); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", step, err)
	}
	if err := s.refresh(now); err != nil {
		return nil, nil, err
	}
	return step, Foremost(s.Schedule(p), now), nil
}

// Foremost returns the step that is taken first: of those that are due the
// first, else the one that is due earliest. Nil if there is none.
func Foremost(steps []Step, now time.Time) *Step {
	var foremost *Step
	for _, step := range steps {
		if !now.Before(step.Due) {
			return &step
		}
		if foremost == nil || step.Due.Before(foremost.Due) {
			foremost = &step
		}
	}
	return foremost
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

// refresh reads the set anew as it will be written.
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
