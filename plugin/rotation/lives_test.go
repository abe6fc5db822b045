package rotation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// life is what must be remembered of a key to judge what happens to it.
type life struct {
	added, until  time.Time // until: it ended to sign
	signed, spent bool      // spent: it was retired or removed
}

// lives judges the lives of the keys of a file by what changes from step to
// step, whichever command changed it.
type lives struct {
	*file
	keys map[string]*life
}

func newLives(t testing.TB) *lives {
	l := &lives{newFile(t), map[string]*life{}}
	l.keys[l.set().Keys[0].ID] = &life{signed: true}
	return l
}

// randomCommand runs a command on a random key.
func (l *lives) randomCommand(r *rand.Rand) (what string, err error) {
	keys := l.set().Keys
	kid := keys[r.IntN(len(keys))].ID
	switch what = []string{"add", "promote", "retire", "remove", "rotate"}[r.IntN(5)]; what {
	case "add":
		if len(keys) < 6 {
			l.add()
		}
	case "promote":
		err = l.promote(kid, false)
	case "retire":
		err = l.retire(kid)
	case "remove":
		err = l.remove(kid, false)
	case "rotate":
		err = l.take(func(s *Set) error { _, _, err := s.Rotate(DefaultPolicy, l.now); return err })
	}
	return what, err
}

// judge tells what rule the step from before to after broke at the time now.
func (l *lives) judge(before, after []Key, now time.Time) (broken string) {
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
			l.keys[k.ID] = &life{added: now}
		}
		if (i < 0 || k.latest() != before[i].latest()) && k.latest().Before(recorded) {
			return "recorded before an earlier step"
		}
	}
	for _, k := range before {
		known := l.keys[k.ID]
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
	if first := l.keys[after[0].ID]; after[0].ID != before[0].ID {
		steps++
		if first.signed || first.spent {
			return "a key that signed, or was retired or removed, signs again"
		}
		if now.Before(first.added.Add(DefaultPolicy.MaxAge + propagation)) {
			return "signs too early"
		}
		first.signed = true
		l.keys[before[0].ID].until = now
	}
	if l.keys[before[0].ID].spent || !after[0].Private {
		return "the signing key is spent or public"
	}
	if steps > 1 {
		return "two steps at once"
	}
	return ""
}

// TestRandomLives runs random commands against the rules. A clock that steps
// back, however often, holds them by the time that really passes; one that
// also runs ahead can hold them by its own only.
func TestRandomLives(t *testing.T) {
	const seeds, steps = 16, 60
	taken := map[string]int{}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		l, really, runsAhead := newLives(t), start, seed%2 == 1
		for step := range steps {
			passed := time.Duration(r.IntN(160)) * time.Minute
			really, l.now = really.Add(passed), l.now.Add(passed)
			if r.IntN(4) == 0 {
				l.now = l.now.Add(-time.Duration(r.IntN(300)) * time.Minute)
			}
			if runsAhead && r.IntN(4) == 0 {
				l.now = l.now.Add(time.Duration(r.IntN(300)) * time.Minute)
			}
			now := really
			if runsAhead {
				now = l.now
			}
			text, before := string(l.text), l.set().Keys
			what, err := l.randomCommand(r)
			if err != nil && string(l.text) != text {
				t.Fatalf("seed %d, step %d: %s was refused and changed the file", seed, step, what)
			}
			if broken := l.judge(before, l.set().Keys, now); broken != "" {
				t.Fatalf("seed %d, step %d: %s: %s", seed, step, what, broken)
			}
			if string(l.text) != text {
				taken[what]++
			}
		}
	}
	for _, what := range []string{"add", "promote", "retire", "remove", "rotate"} {
		if taken[what] < 5 {
			t.Errorf("%s took %d steps only, so it was hardly tried", what, taken[what])
		}
	}
}
