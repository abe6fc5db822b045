package redistest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/redistest"
)

func TestClusterReshard(t *testing.T) {
	c := redistest.StartCluster(t, 3, 0)
	key := "app:a"
	for i := range 250 {
		if err := c.Client().Set(t.Context(), fmt.Sprintf("{%s}:%d", key, i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	from := c.MasterOf(key)
	to := c.Nodes()[(slices.Index(c.Nodes(), from)+1)%3]
	moved := fmt.Sprintf("MOVED %d %s", c.Slot(key), from.Addr())
	says := func(server *redistest.Server, want string) {
		t.Helper()
		if err := server.Client().Get(t.Context(), "{"+key+"}:7").Err(); !redis.HasErrorPrefix(err, want) {
			t.Errorf("%s says %v, want %s", server.Addr(), err, want)
		}
	}
	says(to, moved)
	finish := c.StartReshard(c.Slot(key), to)
	says(from, "ASK")
	finish()
	if got := c.MasterOf(key); got != to {
		t.Errorf("%s has the slot, want %s", got.Addr(), to.Addr())
	}
	if n, err := to.Client().DBSize(t.Context()).Result(); n != 250 || err != nil {
		t.Errorf("got %d keys, %v, want 250", n, err)
	}
	c.Reshard(c.Slot(key), from)
	wantValue(t, from.Client(), "{"+key+"}:7", "7")
	wantValue(t, c.Client(), "{"+key+"}:7", "7")
}

func wantValue(t *testing.T, client redis.Cmdable, key, want string) {
	t.Helper()
	if got, err := client.Get(t.Context(), key).Result(); got != want || err != nil {
		t.Errorf("%s: got %q, %v, want %q", key, got, err, want)
	}
}

func TestClusterFailover(t *testing.T) {
	c := redistest.StartCluster(t, 3, 1)
	key := "app:a"
	if err := c.Client().Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	master := c.MasterOf(key)
	master.WaitReplicated()
	master.Stop()
	c.WaitReady()
	successor := c.MasterOf(key)
	if successor == master {
		t.Fatal("the dead master has the slot")
	}
	wantValue(t, successor.Client(), key, "v")
	wantValue(t, c.Client(), key, "v")
	master.Restart()
	c.WaitReady()
	if got := c.MasterOf(key); got != successor {
		t.Errorf("%s has the slot, want %s", got.Addr(), successor.Addr())
	}
}
