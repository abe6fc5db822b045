package records

import (
	"context"
	"maps"
	"regexp"
	"slices"
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
	s := Open(cfg, prefix, nil)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestOnServerAndCluster: both behave alike.
func TestOnServerAndCluster(t *testing.T) {
	server, cluster := redistest.Start(t), redistest.StartCluster(t, 3, 0)
	for name, on := range map[string]struct {
		cfg   schema.Redis
		admin redis.UniversalClient
	}{"server": {redistest.Config(server.Port()), server.Client()}, "cluster": {clusterConfig(cluster), cluster.Client()}} {
		for act, test := range map[string]func(*testing.T, *Store, redis.UniversalClient){
			"get and read": testGetAndRead, "ids": testIDs, "delete": testDelete, "put": testPut, "patch": testPatch, "conditional": testConditional,
			"purge": testPurge, "many purges": testManyPurges, "purge of another type": testPurgeOfAnotherType,
		} {
			t.Run(name+" "+act, func(t *testing.T) {
				s := open(t, on.cfg, prefix)
				test(t, s, on.admin)
				empty(t, s)
			})
		}
	}
}

func clusterConfig(cluster *redistest.Cluster) schema.Redis {
	cfg := redistest.Config(0)
	cfg.ClusterMaxRedirections = 5
	for _, node := range cluster.Nodes() {
		cfg.ClusterNodes = append(cfg.ClusterNodes, schema.ClusterNode{IP: "127.0.0.1", Port: node.Port()})
	}
	return cfg
}

// start starts a server and opens its records.
func start(t *testing.T) (*redistest.Server, *Store) {
	t.Helper()
	server := redistest.Start(t)
	return server, open(t, redistest.Config(server.Port()), prefix)
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

// hset writes a record as redis-cli does.
func hset(t *testing.T, admin redis.UniversalClient, key string, properties ...string) {
	t.Helper()
	if err := admin.HSet(t.Context(), key, properties).Err(); err != nil {
		t.Fatal(err)
	}
}

// stored returns the record at key, empty if there is none.
func stored(t *testing.T, admin redis.UniversalClient, key string) schema.Record {
	t.Helper()
	properties, err := admin.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return properties
}

func expectStored(t *testing.T, admin redis.UniversalClient, key string, want schema.Record) {
	t.Helper()
	if got := stored(t, admin, key); !maps.Equal(got, want) {
		t.Errorf("got %s = %v, want %v", key, got, want)
	}
}

// everything returns all applications by their identifiers.
func everything(t *testing.T, admin *redis.Client) map[string]schema.Record {
	t.Helper()
	keys, err := admin.Keys(t.Context(), prefix+"app:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]schema.Record{}
	for _, key := range keys {
		all[strings.TrimPrefix(key, prefix+"app:")] = stored(t, admin, key)
	}
	return all
}

func expectEverything(t *testing.T, admin *redis.Client, want map[string]schema.Record) {
	t.Helper()
	if got := everything(t, admin); !maps.EqualFunc(got, want, maps.Equal) {
		t.Errorf("got %d records, want %d, or others: %.500v", len(got), len(want), got)
	}
}

// expectNoWrites expects that do makes the server run no command that writes.
func expectNoWrites(t *testing.T, admin *redis.Client, do func()) {
	t.Helper()
	if err := admin.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	do()
	info, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if found := writing.FindAllString(info, -1); len(found) > 0 {
		t.Errorf("got the commands %v, want none that writes", found)
	}
}

var writing = regexp.MustCompile(`cmdstat_(hset|hdel|del|set|evalsha|eval):`)

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
