package cache

import (
	"errors"
	"testing"
	"time"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// bySentinel is the configuration for the master that the sentinels name.
func bySentinel(s *redistest.Sentinel, options ...option) *schema.Config {
	return configAt(0, append([]option{asReader, func(c *schema.Config) {
		c.Redis.SentinelMaster = s.MasterName()
		for _, sentinel := range s.Sentinels() {
			c.Redis.SentinelNodes = append(c.Redis.SentinelNodes, schema.Node{Host: "127.0.0.1", Port: sentinel.Port()})
		}
	}}, options...)...)
}

// TestSentinelFailover has the master die under traffic. Then it comes back as
// a replica.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, reader...)
	r := open(t, bySentinel(s, unhurriedRedis))
	tr := driveWithin(t, unhurriedly, r, s.Client(), "a", "b", "c", "d")
	master := s.Master()
	master.WaitReplicated()
	master.Stop()
	s.WaitForFailover(master)
	tr.back(s.Master().Client(), time.Now())
	tr.require(served)
	master.Restart()
	s.WaitReady()
	tr.require(anything)
	tr.put(s.Master().Client())
	tr.recovers(s.Master().Client(), s.Servers()...)
}

// TestSentinelPausedMaster: the old master hangs, is replaced, and resumes as if
// nothing had happened, until it hears that it is a replica.
func TestSentinelPausedMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, 3, reader...)
	r := open(t, bySentinel(s))
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
	r := open(t, bySentinel(s))
	tr := drive(t, r, s.Client(), "a", "b")
	for _, sentinel := range s.Sentinels() {
		sentinel.Stop()
	}
	tr.waitFor("answers", &tr.served, 1000)
	tr.stop()
	late := open(t, bySentinel(s))
	if _, err := app(t, late, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("without any sentinel: got %v, want %v", err, schema.ErrUnavailable)
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
