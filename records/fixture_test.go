package records

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

const prefix = "m2m:example.kinde.com:"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg schema.Redis, prefix string) *Store {
	t.Helper()
	s := Open(cfg, prefix)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestOnServerAndCluster: what is true of a server is true of a cluster.
func TestOnServerAndCluster(t *testing.T) {
	server, cluster := redistest.Start(t), redistest.StartCluster(t, 3, 0)
	ofCluster := redistest.Config(0)
	ofCluster.ClusterMaxRedirections = 5
	for _, node := range cluster.Nodes() {
		ofCluster.ClusterNodes = append(ofCluster.ClusterNodes, schema.ClusterNode{IP: "127.0.0.1", Port: node.Port()})
	}
	for name, on := range map[string]struct {
		cfg   schema.Redis
		admin redis.UniversalClient
	}{"server": {redistest.Config(server.Port()), server.Client()}, "cluster": {ofCluster, cluster.Client()}} {
		t.Run(name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, *Store, redis.UniversalClient){
				"get and read": testGetAndRead, "ids": testIDs, "delete": testDelete, "put": testPut, "patch": testPatch, "observe": testObserve,
			} {
				t.Run(name, func(t *testing.T) {
					s := open(t, on.cfg, prefix)
					test(t, s, on.admin)
					empty(t, s)
				})
			}
		})
	}
}

// empty deletes all records.
func empty(t *testing.T, s *Store) {
	t.Helper()
	for _, kind := range []schema.Kind{schema.Application, schema.Organization, schema.User} {
		if _, err := s.Delete(t.Context(), kind, ids(t, s, kind, "*"), Write); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes a record as an operator does by hand.
func hset(t *testing.T, admin redis.UniversalClient, key string, properties ...string) {
	t.Helper()
	if err := admin.HSet(t.Context(), key, properties).Err(); err != nil {
		t.Fatal(err)
	}
}

// held returns the record that key holds, empty if there is none.
func held(t *testing.T, admin redis.UniversalClient, key string) schema.Record {
	t.Helper()
	properties, err := admin.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return properties
}

func expectHeld(t *testing.T, admin redis.UniversalClient, key string, want schema.Record) {
	t.Helper()
	if got := held(t, admin, key); !maps.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", key, got, want)
	}
}

// everything returns all applications below prefix by their identifiers.
func everything(t *testing.T, admin *redis.Client, prefix string) map[string]schema.Record {
	t.Helper()
	keys, err := admin.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]schema.Record{}
	for _, key := range keys {
		if id, ok := strings.CutPrefix(key, prefix+"app:"); ok {
			all[id] = held(t, admin, key)
		}
	}
	return all
}

func expectEverything(t *testing.T, admin *redis.Client, want map[string]schema.Record) {
	t.Helper()
	got := everything(t, admin, prefix)
	if len(got) != len(want) {
		t.Errorf("there are %d records, want %d", len(got), len(want))
	}
	for id, properties := range want {
		if !maps.Equal(got[id], properties) {
			t.Errorf("%s is %v, want %v", id, got[id], properties)
			return // one says enough
		}
	}
}

// writing are the commands that write.
var writing = []string{"hset", "hdel", "del", "unlink", "multi", "exec", "hmset", "set", "rename", "evalsha", "eval"}

var calls = regexp.MustCompile(`cmdstat_([a-z|]+):calls=(\d+)`)

// countWrites returns how many commands that write do makes the server run.
func countWrites(t *testing.T, admin *redis.Client, do func()) map[string]int {
	t.Helper()
	if err := admin.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	do()
	info, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, found := range calls.FindAllStringSubmatch(info, -1) {
		if slices.Contains(writing, found[1]) {
			count[found[1]], _ = strconv.Atoi(found[2])
		}
	}
	return count
}

func expectNoWrites(t *testing.T, admin *redis.Client, do func()) {
	t.Helper()
	if count := countWrites(t, admin, do); len(count) > 0 {
		t.Errorf("the server ran %v", count)
	}
}

// ids returns the identifiers that match, sorted, each once.
func ids(t *testing.T, s *Store, kind schema.Kind, match string) []string {
	t.Helper()
	found := map[string]bool{}
	err := s.IDs(context.Background(), kind, match, func(page []string) bool {
		for _, id := range page {
			found[id] = true
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}
