package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m2m-token-enricher/schema"
)

// isServed reports whether the store is asked for id and answers.
func isServed(t *testing.T, r *Records, id string) bool {
	t.Helper()
	_, err := app(t, r, id)
	if err != nil && !errors.Is(err, schema.ErrUnavailable) {
		t.Fatal(err)
	}
	return err == nil
}

// failsFor makes every question fail that is about one of ids, and every one if
// there are none.
func (s *scripted) failsFor(ids ...string) {
	bad := map[string]bool{}
	for _, id := range ids {
		bad[id] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(_ context.Context, id string) (schema.Record, error) {
		if len(bad) == 0 || bad[id] {
			return nil, errSilent
		}
		return good, nil
	}
}

// occupy takes all slots of the only node.
func occupy(r *Records) (release func()) {
	slots := r.nodes.get("").slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	return func() {
		for range cap(slots) {
			<-slots
		}
	}
}

// TestKeyIsLeftAlone: a key that failed isn't fetched again within a second. Others
// are answered meanwhile.
func TestKeyIsLeftAlone(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.cfg.Cache = schema.Cache{}
		s.failsFor("a")
		for second := range 20 {
			for range 10 {
				expect(t, r, s, nil, schema.ErrUnavailable, 2*second+1)
			}
			if !isServed(t, r, "b") {
				t.Errorf("second %d: b isn't served", second)
			}
			pass(time.Second - 1)
			expect(t, r, s, nil, schema.ErrUnavailable, 2*second+2)
			pass(1)
		}
		s.next(good, nil)
		expect(t, r, s, good, nil, 41)
		expect(t, r, s, good, nil, 42)
	})
}

// TestNodeIsLeftAlone: after two keys failed, no other is fetched within a second.
// Then one tries, while the others are still blocked.
func TestNodeIsLeftAlone(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.failsFor()
		for i := range 10 {
			if isServed(t, r, fmt.Sprint(i)) {
				t.Error("an answer of a silent store")
			}
		}
		pass(time.Second - 1)
		if isServed(t, r, "new") || s.times() != 2 {
			t.Errorf("the store was asked %d times, want 2", s.times())
		}
		pass(1)
		release := make(chan struct{})
		s.mu.Lock()
		s.answer = func(_ context.Context, id string) (schema.Record, error) {
			if id == "trial" {
				<-release
			}
			return good, nil
		}
		s.mu.Unlock()
		var tried sync.WaitGroup
		tried.Go(func() {
			if !isServed(t, r, "trial") {
				t.Error("the trial failed")
			}
		})
		synctest.Wait()
		for i := range 5 { // however long it takes
			if isServed(t, r, fmt.Sprint("other", i)) {
				t.Error("a request isn't kept from the store")
			}
			pass(r.budget() / 5)
		}
		close(release)
		tried.Wait()
		if !isServed(t, r, "other") || s.times() != 4 {
			t.Errorf("the store was asked %d times, want 4", s.times())
		}
	})
}

// TestFailingKeysLetTheNodeBe: keys that failed before say nothing more about the
// node, however often they are looked up.
func TestFailingKeysLetTheNodeBe(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.cfg.Cache = schema.Cache{}
		bad := []string{"a", "b", "c"}
		s.failsFor(bad...)
		isServed(t, r, "a")
		isServed(t, r, "b") // from now on the node is left alone
		pass(time.Second)
		for second := range 20 {
			for _, id := range bad {
				isServed(t, r, id)
			}
			pass(500 * time.Millisecond)
			if second > 0 && !isServed(t, r, "healthy") { // c failed for the first time in second 0
				t.Errorf("second %d: a healthy record isn't served", second)
			}
			pass(500 * time.Millisecond)
		}
	})
}

// TestHangingKey: a fetch that fails says nothing about a node that answered for
// other keys meanwhile.
func TestHangingKey(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(ctx context.Context, id string) (schema.Record, error) {
			if id != "a" && id != "b" {
				return good, nil
			}
			<-ctx.Done()
			return nil, errSilent
		}
		var hanging sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			hanging.Go(func() { isServed(t, r, id) })
		}
		pass(r.budget() / 2)
		if !isServed(t, r, "c") {
			t.Error("not served beside a hanging key")
		}
		hanging.Wait()
		if !isServed(t, r, "d") {
			t.Error("not served after keys that hung")
		}
	})
}

// TestWaitForRoomIsNoFailure: a fetch that waited for a slot still has all of its
// time, and the wait doesn't count as a failure.
func TestWaitForRoomIsNoFailure(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		s.answer = func(ctx context.Context, _ string) (schema.Record, error) {
			select {
			case <-time.After(r.budget() / 2):
				return good, nil
			case <-ctx.Done():
				return nil, errSilent
			}
		}
		release := occupy(r)
		var waiting sync.WaitGroup
		for i := range 4 {
			waiting.Go(func() {
				if !isServed(t, r, fmt.Sprint(i)) {
					t.Errorf("%d isn't served", i)
				}
			})
		}
		pass(r.budget() * 3 / 4)
		release()
		waiting.Wait()
	})
}

// TestSilentNodeCostsNoTime: a blocked fetch fails at once, though fetches that
// hang take every slot. Keys that fail leave slots free.
func TestSilentNodeCostsNoTime(t *testing.T) {
	overScript(t, func(t *testing.T, r *Records, s *scripted) {
		r.nodes = newNodes(4)
		slots := r.nodes.get("").slots
		s.hang()
		askAll := func() (asking *sync.WaitGroup) {
			asking = &sync.WaitGroup{}
			for i := range cap(slots) {
				asking.Go(func() { isServed(t, r, fmt.Sprint(i)) })
			}
			synctest.Wait()
			return asking
		}
		askAll().Wait() // they fail, and the node is left alone
		release := occupy(r)
		begin := time.Now()
		if isServed(t, r, "other") || time.Since(begin) > 0 {
			t.Errorf("refused after %v", time.Since(begin))
		}
		release()
		pass(retryInterval)
		asking := askAll()
		if n := len(slots); n > 2 { // a key that fails, and who tries
			t.Errorf("%d slots are taken, want at most 2", n)
		}
		asking.Wait()
	})
}

// TestFailingKeysAreBounded in memory.
func TestFailingKeysAreBounded(t *testing.T) {
	p := breaker{maxFailing: maxFailing}
	now := time.Now()
	for i := range 10 * maxFailing {
		p.fail(fmt.Sprint(i), now, now)
		now = now.Add(time.Millisecond)
	}
	if len(p.failing) != maxFailing || p.allow(fmt.Sprint(10*maxFailing-1), now, 0) {
		t.Errorf("%d keys are known, or not the last ones", len(p.failing))
	}
	ns := newNodes(1)
	for i := range 3 * maxNodes {
		ns.get(fmt.Sprint(i))
	}
	if len(ns.byAddr) > maxNodes {
		t.Errorf("%d nodes are known, want at most %d", len(ns.byAddr), maxNodes)
	}
}
