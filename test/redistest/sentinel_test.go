package redistest_test

import (
	"testing"
	"time"

	"m2m-token-enricher/test/redistest"
)

// startSentinel says how long it took, since every test of sentinels pays it.
func startSentinel(t *testing.T, replicas, sentinels int, args ...string) *redistest.Sentinel {
	t.Helper()
	start := time.Now()
	s := redistest.StartSentinel(t, replicas, sentinels, args...)
	t.Logf("%d sentinels with %d replicas: %v", sentinels, replicas, time.Since(start))
	return s
}

func TestSentinelFailover(t *testing.T) {
	for name, args := range map[string][]string{"plain": nil, "password": {"--requirepass", "secret"}} {
		t.Run(name, func(t *testing.T) {
			s := startSentinel(t, 2, 3, args...)
			failover(t, s)
		})
	}
}

func failover(t *testing.T, s *redistest.Sentinel) {
	t.Helper()
	if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	master := s.Master()
	if master != s.Servers()[0] {
		t.Errorf("%s is the master", master.Addr())
	}
	master.WaitReplicated()
	start := time.Now()
	master.Stop()
	s.WaitForFailover(master)
	t.Logf("failover: %v", time.Since(start))
	heir := s.Master()
	if heir == master {
		t.Fatal("the dead server is the master")
	}
	if err := heir.Client().Set(t.Context(), "k", "w", 0).Err(); err != nil {
		t.Errorf("the new master takes no writes: %v", err)
	}
	if got, err := s.Client().Get(t.Context(), "k").Result(); got != "w" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	start = time.Now()
	master.Restart()
	s.WaitReady()
	t.Logf("return: %v", time.Since(start))
	if got := s.Master(); got != heir {
		t.Errorf("%s is the master, not %s", got.Addr(), heir.Addr())
	}
	if got, err := master.Client().Get(t.Context(), "k").Result(); got != "w" || err != nil {
		t.Errorf("the old master has %q, %v", got, err)
	}
}
