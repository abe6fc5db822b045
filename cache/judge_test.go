package cache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"m2m-token-enricher/schema"
)

// seen is a lookup and what was known when it began.
type seen struct {
	id         string
	patience   time.Duration
	begin, end time.Time
	failing    bool
	doubted    time.Time
	landed     question
	version    int // -1: no record
	err        error
}

func (w *world) lookup(id string) {
	s := seen{id: id, patience: []time.Duration{10 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 5 * time.Second}[w.upTo(4)], begin: time.Now()}
	w.set(func() {
		s.failing, s.doubted, s.landed = w.failing || w.ids[id].failing, w.doubted, w.ids[id].landed
	})
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	record, err := w.r.Record(ctx, schema.Application, id)
	s.end, s.err = time.Now(), err
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.judge(&s, record); err != nil {
		w.t.Errorf("%s asked at %v for %v got %v, %v: %v\n%+v", id, s.begin.Format("15:04:05.000"), s.end.Sub(s.begin), record, s.err, err, w.ids[id])
	}
}

// judge tells which rule the answer breaks. The caller holds mu.
func (w *world) judge(s *seen, record schema.Record) error {
	if took := s.end.Sub(s.begin); took > s.patience {
		return errors.New("after the caller's time")
	}
	if err := w.identify(s, record); err != nil {
		return err
	}
	if errors.Is(s.err, schema.ErrUnavailable) {
		return w.judgeUnavailable(s)
	}
	v := w.ids[s.id].versions[s.version]
	if errorOf[v.kind] != nil || s.err != nil {
		if !errors.Is(s.err, errorOf[v.kind]) || s.err == nil {
			return errors.New("not what the store said")
		}
		return w.judgeFresh(s, v, seconds(modelled.NegativeTTL))
	}
	err := w.judgeFresh(s, v, seconds(modelled.TTL))
	if err != nil && w.silentFor(s) {
		return w.judgeStale(s, v)
	}
	return err
}

// identify takes the version from the answer.
func (w *world) identify(s *seen, record schema.Record) error {
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

// judgeStale holds for a record that was held when the lookup began.
func (w *world) judgeStale(s *seen, v version) error {
	switch {
	case !v.told.IsZero() && v.told.Before(s.end):
		return errors.New("served after Redis told of a change")
	case s.end.Sub(v.asked) >= seconds(modelled.TTL+modelled.StaleTTL):
		return errors.New("too old even while Redis is silent")
	case s.end.Sub(s.begin) > s.patience/2:
		return errors.New("served when the caller's time is over")
	}
	return nil
}

// judgeFresh holds for an answer that Redis gave since it was asked, or that is
// fresh.
func (w *world) judgeFresh(s *seen, v version, life time.Duration) error {
	switch {
	case !v.told.IsZero() && v.told.Before(s.begin):
		return errors.New("served after Redis told of a change")
	case s.begin.Sub(v.asked) >= life:
		return errors.New("too old")
	case v.asked.Before(s.doubted) && s.begin.After(s.doubted):
		return errors.New("not asked again after a loss")
	}
	return nil
}

// silentFor tells whether the caller may take Redis for silent: the last
// question failed, or the last one about this record, and this caller may be kept
// from the next, or one failed meanwhile, or didn't end within the half of the caller's time.
func (w *world) silentFor(s *seen) bool {
	return s.failing || !w.failed.Before(s.begin) || s.end.Sub(s.begin) >= s.patience/2
}

// judgeUnavailable: there must have been a failure, and without invalidation
// nothing that would do may have been held; a record that comes with it is one
// that was once answered.
func (w *world) judgeUnavailable(s *seen) error {
	h := w.ids[s.id]
	if !w.silentFor(s) {
		return errors.New("unavailable though nothing failed")
	}
	if s.version >= 0 && (h.versions[s.version].kind != "record" || h.versions[s.version].asked.IsZero()) {
		return errors.New("the last known record was never known")
	}
	known := !s.landed.asked.IsZero() && h.versions[s.landed.version].kind == "record" && s.landed == h.landed
	switch {
	case !known || w.told:
	case s.end.Before(s.landed.asked.Add(seconds(modelled.TTL + modelled.StaleTTL))):
		return errors.New("unavailable though it may be stale")
	case s.version != s.landed.version:
		return errors.New("the last known record is missing")
	}
	return nil
}
