package cache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

func TestTTL(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		pass(30*time.Second - 1)
		s.next(schema.Record{"org_code": "org_b"}, nil)
		expect(t, r, s, good, nil, 1)
		pass(1)
		expect(t, r, s, schema.Record{"org_code": "org_b"}, nil, 2)
	})
}

func TestNegativeTTL(t *testing.T) {
	for _, no := range []error{errNoRecord, errInvalid} {
		overScript(t, func(t *testing.T, r *Records, s *scripted) {
			s.next(nil, no)
			expect(t, r, s, nil, no, 1)
			pass(5*time.Second - 1)
			s.next(good, nil)
			expect(t, r, s, nil, no, 1)
			pass(1)
			expect(t, r, s, good, nil, 2)
		})
	}
}

func TestStaleWhileSilent(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		s.next(nil, errSilent)
		pass(30 * time.Second)
		expect(t, r, s, good, nil, 2)
		pass(300*time.Second - 1)
		expect(t, r, s, good, nil, 3)
		pass(1)
		expect(t, r, s, good, schema.ErrUnavailable, 3) // the store is left alone
		pass(time.Second)
		expect(t, r, s, good, schema.ErrUnavailable, 4)
		s.next(schema.Record{"org_code": "org_b"}, nil)
		pass(time.Second)
		expect(t, r, s, schema.Record{"org_code": "org_b"}, nil, 5)
	})
}

// TestDeletedIsNotStale: once Redis says that a record is gone, it never stands
// in again.
func TestDeletedIsNotStale(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		pass(30 * time.Second)
		s.next(nil, errNoRecord)
		expect(t, r, s, nil, schema.ErrNoRecord, 2)
		pass(5 * time.Second)
		s.next(nil, errSilent)
		expect(t, r, s, nil, schema.ErrUnavailable, 3)
	})
}

func TestAbsenceNeverAnswersAnOutage(t *testing.T) {
	for _, no := range []error{errNoRecord, errInvalid} {
		overScript(t, func(t *testing.T, r *Records, s *scripted) {
			s.next(nil, no)
			expect(t, r, s, nil, no, 1)
			s.next(nil, errSilent)
			pass(5 * time.Second)
			expect(t, r, s, nil, schema.ErrUnavailable, 2)
			if _, err := ask(t, r); errors.Is(err, no) {
				t.Errorf("an outage is answered with %v", err)
			}
		})
	}
}

func TestDefiniteAnswersDontPause(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.next(nil, errInvalid)
		expect(t, r, s, nil, schema.ErrInvalidRecord, 1)
		s.next(good, nil)
		if _, err := app(t, r, "b"); err != nil {
			t.Error(err)
		}
	})
}

func TestTTLZero(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.cfg.Cache = schema.Cache{}
		for i := range 3 {
			expect(t, r, s, good, nil, i+1)
		}
		s.next(nil, errSilent)
		expect(t, r, s, good, schema.ErrUnavailable, 4)
	})
}

// TestStoreIsBounded: a fetch that isn't answered ends after the timeouts to
// connect, to send and to receive.
func TestStoreIsBounded(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.hang()
		begin := time.Now()
		if _, err := ask(t, r); !errors.Is(err, schema.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin); waited != 1500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestMaxEntries(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		for i := range 1000 {
			if _, err := app(t, r, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.tier.entries.Len(); n != 100 {
			t.Errorf("%d records are cached, want 100", n)
		}
	})
}

func TestKindsDontMix(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		expect(t, r, s, good, nil, 1)
		s.next(schema.Record{"name": "A"}, nil)
		if record, err := r.Record(t.Context(), schema.Organization, "a"); err != nil || record["name"] != "A" {
			t.Errorf("got %v, %v", record, err)
		}
	})
}

func TestErrorsNameTheKey(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.next(nil, errSilent)
		_, _ = ask(t, r)
		if _, err := ask(t, r); !strings.Contains(err.Error(), "p:app:a") {
			t.Errorf("got %v", err)
		}
	})
}
