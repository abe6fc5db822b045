package redistest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/test/redistest"
)

func TestRestartWithData(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.RestartWithData()
	if got, err := server.Client().Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	server.Restart()
	if n, err := server.Client().DBSize(t.Context()).Result(); n != 0 || err != nil {
		t.Errorf("%d keys survived a restart without data, %v", n, err)
	}
}

func TestRestartLoading(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	const d = time.Second // a late machine must still meet it
	server.RestartLoading(d)
	start := time.Now()
	if err := server.Client().Get(t.Context(), "k").Err(); !redis.HasErrorPrefix(err, "LOADING") {
		t.Errorf("while it loads: %v", err)
	}
	server.WaitLoaded()
	t.Logf("loaded for another %v of %v", time.Since(start), d)
	if took := time.Since(start); took < d/3 {
		t.Errorf("it loaded for another %v of %v", took, d)
	}
	if got, err := server.Client().Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	keys, _, err := server.Client().Scan(t.Context(), 0, "*", 1000).Result()
	if err != nil || len(keys) != 1 {
		t.Errorf("it holds %q, %v", keys, err)
	}
}
