package main

import (
	"context"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/rotation"
	"m2m-token-enricher/plugin/visible"
)

func (r *keysRun) generate(context.Context) error {
	text, err := rotation.Generate(r.kind, r.now)
	if err != nil {
		return err
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		return err
	}
	if err := rotation.Create(r.file, text); err != nil {
		return err
	}
	r.say("%s: new signing key %s; make it readable by the user that Kong runs as", r.file, ring.Keys()[0].ID)
	return nil
}

func (r *keysRun) add(context.Context) error {
	var kid string
	err := rotation.Update(r.file, func(s *rotation.Set) (err error) {
		kid, err = s.Add(r.kind, r.now)
		return err
	})
	if err != nil {
		return err
	}
	r.say("added %s: published, not signing", kid)
	return nil
}

func (r *keysRun) promote(context.Context) error {
	return r.change("signs; the previous signing key stays published", func(s *rotation.Set) error { return s.Promote(r.kid, r.policy, r.force, r.now) })
}

func (r *keysRun) retire(context.Context) error {
	return r.change("can no longer sign; it stays published", func(s *rotation.Set) error { return s.Retire(r.kid, r.now) })
}

func (r *keysRun) remove(context.Context) error {
	return r.change("is no longer published", func(s *rotation.Set) error { return s.Remove(r.kid, r.policy, r.force, r.now) })
}

// change changes the key in the file and says the result.
func (r *keysRun) change(result string, change func(*rotation.Set) error) error {
	if err := rotation.Update(r.file, change); err != nil {
		return err
	}
	r.say("%s %s", r.kid, result)
	return nil
}

// rotate takes at most one step, so that each is seen by every gateway before
// the next.
func (r *keysRun) rotate(context.Context) error {
	taken, next, err := rotation.Rotate(r.file, r.policy, r.now)
	if err != nil {
		return err
	}
	if taken != nil {
		r.say("done: %s", taken)
	} else {
		r.say("nothing is due")
	}
	r.say("next: %s at %s", next, next.Due.UTC().Format(time.RFC3339))
	return nil
}

func (r *keysRun) public(context.Context) error {
	s, err := rotation.Load(r.file)
	if err != nil {
		return err
	}
	_, err = r.stdout.Write(append(s.Public(), '\n'))
	return err
}

func (r *keysRun) say(format string, args ...any) { visible.Fprintf(r.stdout, format+"\n", args...) }
