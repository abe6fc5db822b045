package rotation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// life is what the model remembers of a key.
type life struct {
	added, until  time.Time // until: it stopped signing
	signed, spent bool      // spent: it was retired or removed
}

// model checks the rules of a rotation by what changes in a file from step to step,
// whichever command changed it.
type model struct {
	*file
	keys map[string]*life
}

func newModel(t testing.TB) *model {
	m := &model{newFile(t), map[string]*life{}}
	m.keys[m.set().Keys[0].ID] = &life{signed: true}
	return m
}

// randomCommand runs a command on a random key.
func (m *model) randomCommand(r *rand.Rand) (what string, err error) {
	keys := m.set().Keys
	kid := keys[r.IntN(len(keys))].ID
	switch what = []string{"add", "promote", "retire", "remove", "rotate"}[r.IntN(5)]; what {
	case "add":
		if len(keys) < 6 {
			m.add()
		}
	case "promote":
		err = m.promote(kid, false)
	case "retire":
		err = m.retire(kid)
	case "remove":
		err = m.remove(kid, false)
	case "rotate":
		err = m.take(func(s *Set) error { _, _, err := s.Rotate(DefaultPolicy, m.now); return err })
	}
	return what, err
}

// brokenRule returns the rule that the step from before to after broke at now, or
// "".
func (m *model) brokenRule(before, after []Key, now time.Time) (broken string) {
	steps := 0
	var recorded time.Time // the last step until now
	for _, k := range before {
		if k.latest().After(recorded) {
			recorded = k.latest()
		}
	}
	for _, k := range after {
		i := slices.IndexFunc(before, func(b Key) bool { return b.ID == k.ID })
		if i < 0 {
			steps++
			m.keys[k.ID] = &life{added: now}
		}
		if (i < 0 || k.latest() != before[i].latest()) && k.latest().Before(recorded) {
			return "recorded before an earlier step"
		}
	}
	for _, k := range before {
		known := m.keys[k.ID]
		switch i := slices.IndexFunc(after, func(a Key) bool { return a.ID == k.ID }); {
		case i < 0:
			steps++
			known.spent = true
			if known.signed && now.Before(known.until.Add(DefaultPolicy.TokenLife+leeway)) {
				return "removed while tokens may live"
			}
		case k.Private && !after[i].Private:
			steps++
			known.spent = true
		}
	}
	if first := m.keys[after[0].ID]; after[0].ID != before[0].ID {
		steps++
		if first.signed || first.spent {
			return "a key that signed, or was retired or removed, signs again"
		}
		if now.Before(first.added.Add(DefaultPolicy.MaxAge + propagation)) {
			return "signs too early"
		}
		first.signed = true
		m.keys[before[0].ID].until = now
	}
	if m.keys[before[0].ID].spent || !after[0].Private {
		return "the signing key is spent or public"
	}
	if steps > 1 {
		return "two steps at once"
	}
	return ""
}

// TestRandomLives runs random commands against the rules. With a clock that steps
// back, however often, the rules apply to the time that really passes. With one
// that also runs ahead, they can apply only to its own.
func TestRandomLives(t *testing.T) {
	const seeds, steps = 16, 60
	taken := map[string]int{}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, really, runsAhead := newModel(t), start, seed%2 == 1
		for step := range steps {
			passed := time.Duration(r.IntN(160)) * time.Minute
			really, m.now = really.Add(passed), m.now.Add(passed)
			if r.IntN(4) == 0 {
				m.now = m.now.Add(-time.Duration(r.IntN(300)) * time.Minute)
			}
			if runsAhead && r.IntN(4) == 0 {
				m.now = m.now.Add(time.Duration(r.IntN(300)) * time.Minute)
			}
			now := really
			if runsAhead {
				now = m.now
			}
			text, before := string(m.text), m.set().Keys
			what, err := m.randomCommand(r)
			if err != nil && string(m.text) != text {
				t.Fatalf("seed %d, step %d: %s was refused and changed the file", seed, step, what)
			}
			if broken := m.brokenRule(before, m.set().Keys, now); broken != "" {
				t.Fatalf("seed %d, step %d: %s: %s", seed, step, what, broken)
			}
			if string(m.text) != text {
				taken[what]++
			}
		}
	}
	for _, what := range []string{"add", "promote", "retire", "remove", "rotate"} {
		if taken[what] < 5 {
			t.Errorf("%s took %d steps, want at least 5", what, taken[what])
		}
	}
}
