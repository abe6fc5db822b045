package cache

import (
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// bySentinel are the lookups in the master that the sentinels name.
func bySentinel(t *testing.T, s *redistest.Sentinel, change func(map[string]any)) *Records {
	t.Helper()
	var nodes []any
	for _, sentinel := range s.Sentinels() {
		nodes = append(nodes, map[string]any{"host": "127.0.0.1", "port": float64(sentinel.Port())})
	}
	return lookups(t, s.Servers()[0], func(c map[string]any) {
		m2m(c)
		redis := c["redis"].(map[string]any)
		delete(redis, "host")
		delete(redis, "port")
		redis["sentinel_master"], redis["sentinel_nodes"] = s.MasterName(), nodes
		if change != nil {
			change(c)
		}
	})
}

// TestSentinelFailover has the master die under traffic. Then it comes back as
// a replica.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, reader...)
	r := bySentinel(t, s, unhurriedRedis)
	tr := driveWithin(t, unhurriedly, r, s.Client(), "a", "b", "c", "d")
	master := s.Master()
	master.WaitReplicated()
	master.Stop()
	s.WaitForFailover(master)
	tr.back(s.Master().Client(), time.Now())
	tr.require(func(a answer) error {
		if a.err != nil {
			return errors.New("the old master's return is noticed")
		}
		return nil
	})
	master.Restart()
	s.WaitReady()
	tr.require(anything)
	tr.put(s.Master().Client())
	tr.recovers(s.Master().Client(), s.Servers()...)
}

// TestSentinelPausedMaster: the old master hangs, is replaced, and goes on as
// if nothing had happened, until it hears that it is a replica.
func TestSentinelPausedMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, reader...)
	r := bySentinel(t, s, nil)
	tr := drive(t, r, s.Client(), "a", "b")
	master := s.Master()
	master.WaitReplicated()
	master.Pause()
	s.WaitForFailover(master)
	tr.back(s.Master().Client(), time.Now())
	current := tr.written["a"].Load() // of every record
	tr.require(func(a answer) error {
		if a.err == nil && int64(a.version) < current {
			return errors.New("served from the old master")
		}
		return nil
	})
	master.Resume()
	s.WaitReady()
	tr.waitFor("answers", &tr.served, 100)
	tr.stop()
	closed(t, r, s.Servers()...)
}

// TestSentinelsGone: lookups need the sentinels only to find a master.
func TestSentinelsGone(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, reader...)
	r := bySentinel(t, s, nil)
	tr := drive(t, r, s.Client(), "a", "b")
	for _, sentinel := range s.Sentinels() {
		sentinel.Stop()
	}
	tr.waitFor("answers", &tr.served, 1000)
	tr.stop()
	late := bySentinel(t, s, nil)
	if _, err := late.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("without any sentinel: %v", err)
	}
	waiting := drive(t, late, nil, "a")
	waiting.put(s.Servers()[0].Client())
	waiting.fails(10)
	for _, sentinel := range s.Sentinels()[1:] { // the first stays away
		sentinel.Restart()
	}
	closed(t, r)
	waiting.recovers(s.Servers()[0].Client(), s.Servers()...)
}
