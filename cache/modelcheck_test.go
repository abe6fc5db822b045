package cache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"m2m-token-enricher/schema"
)

// lookup is one call of Record and what was known when it began.
type lookup struct {
	id          string
	patience    time.Duration
	begin, end  time.Time
	failing     bool
	invalidated time.Time
	answered    question
	version     int // -1: no record
	err         error
}

func (w *world) lookup(id string) {
	s := lookup{id: id, patience: []time.Duration{10 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 5 * time.Second}[w.upTo(4)], begin: time.Now()}
	w.set(func() {
		s.failing, s.invalidated, s.answered = w.failing || w.ids[id].failing, w.invalidated, w.ids[id].answered
	})
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	record, err := w.r.Record(ctx, schema.Application, id)
	s.end, s.err = time.Now(), err
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(&s, record); err != nil {
		w.t.Errorf("%s asked at %v for %v got %v, %v: %v\n%+v", id, s.begin.Format("15:04:05.000"), s.end.Sub(s.begin), record, s.err, err, w.ids[id])
	}
}

// check returns which rule the answer breaks. The caller holds mu.
func (w *world) check(s *lookup, record schema.Record) error {
	if took := s.end.Sub(s.begin); took > s.patience {
		return errors.New("after the caller's time")
	}
	if err := w.identify(s, record); err != nil {
		return err
	}
	if errors.Is(s.err, schema.ErrUnavailable) {
		return w.checkUnavailable(s)
	}
	v := w.ids[s.id].versions[s.version]
	if errorOf[v.kind] != nil || s.err != nil {
		if !errors.Is(s.err, errorOf[v.kind]) || s.err == nil {
			return errors.New("not what the store said")
		}
		return w.checkFresh(s, v, seconds(modelled.NegativeTTL))
	}
	err := w.checkFresh(s, v, seconds(modelled.TTL))
	if err != nil && w.silentFor(s) {
		return w.checkStale(s, v)
	}
	return err
}

// identify takes the version from the answer.
func (w *world) identify(s *lookup, record schema.Record) error {
	s.version = -1
	text := record["version"]
	if s.err != nil && record == nil {
		_, text, _ = strings.Cut(s.err.Error(), "version ")
		text, _, _ = strings.Cut(text, ":")
		if errors.Is(s.err, schema.ErrUnavailable) {
			return nil
		}
	}
	id, number, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if id != s.id || err != nil || n >= len(w.ids[id].versions) {
		return errors.New("not a version of this record")
	}
	s.version = n
	return nil
}

// checkStale applies to a record that was cached when the lookup began.
func (w *world) checkStale(s *lookup, v version) error {
	switch {
	case !v.reported.IsZero() && v.reported.Before(s.end):
		return errors.New("served after Redis reported a change")
	case s.end.Sub(v.asked) >= seconds(modelled.TTL+modelled.StaleTTL):
		return errors.New("too old even while Redis is silent")
	case s.end.Sub(s.begin) > s.patience/2:
		return errors.New("served when the caller's time is over")
	}
	return nil
}

// checkFresh holds for an answer that Redis gave since it was asked, or that is
// fresh.
func (w *world) checkFresh(s *lookup, v version, life time.Duration) error {
	switch {
	case !v.reported.IsZero() && v.reported.Before(s.begin):
		return errors.New("served after Redis reported a change")
	case s.begin.Sub(v.asked) >= life:
		return errors.New("too old")
	case v.asked.Before(s.invalidated) && s.begin.After(s.invalidated):
		return errors.New("not asked again after a loss")
	}
	return nil
}

// silentFor reports whether the caller may take Redis for silent: the last
// question failed, or the last one about this record, and this caller may be kept
// from the next, or one failed meanwhile, or didn't end within the half of the caller's time.
func (w *world) silentFor(s *lookup) bool {
	return s.failing || !w.failed.Before(s.begin) || s.end.Sub(s.begin) >= s.patience/2
}

// checkUnavailable: there must have been a failure, and without invalidation
// no record that would do may have been cached; a record that comes with it is one
// that was once answered.
func (w *world) checkUnavailable(s *lookup) error {
	h := w.ids[s.id]
	if !w.silentFor(s) {
		return errors.New("unavailable though nothing failed")
	}
	if s.version >= 0 && (h.versions[s.version].kind != "record" || h.versions[s.version].asked.IsZero()) {
		return errors.New("the last known record was never known")
	}
	known := !s.answered.asked.IsZero() && h.versions[s.answered.version].kind == "record" && s.answered == h.answered
	switch {
	case !known || w.invalidation:
	case s.end.Before(s.answered.asked.Add(seconds(modelled.TTL + modelled.StaleTTL))):
		return errors.New("unavailable though it may be stale")
	case s.version != s.answered.version:
		return errors.New("the last known record is missing")
	}
	return nil
}
