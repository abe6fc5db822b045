// Package benchrecords measures the way of a record: from a file into Redis,
// and from Redis through the cache to a token. It has benchmarks only. What is
// compared is measured in one run and in turns.
package benchrecords

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"m2m-token-enricher/cache"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

const prefix = "m2m:bench:"

// organizations is how many the applications belong to.
const organizations = 100

// id is the client id of the i-th application.
func id(i int) string { return fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15) }

func organization(i int) string { return fmt.Sprintf("org_%012x", i%organizations) }

// properties are those of the i-th application, as names and values in turn.
func properties(i int) []string {
	return []string{
		"org_code", organization(i), "user_id", fmt.Sprintf("kp_%016x", i), "region", fmt.Sprintf("eu-west-%d", i%7),
		"plan", "gold", "name", fmt.Sprintf("Application number %d", i),
	}
}

// write writes n applications to a file in dir, each in the format.
func write(b *testing.B, dir, name string, n int, format func(w io.Writer, i int)) string {
	b.Helper()
	path := filepath.Join(dir, name)
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	for i := range n {
		format(w, i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func jsonLine(w io.Writer, i int) {
	p := properties(i)
	fmt.Fprintf(w, `{"id":%q,"properties":{%q:%q,%q:%q,%q:%q,%q:%q,%q:%q}}`+"\n", id(i), p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9])
}

// command writes the application as a command for redis-cli --pipe.
func command(w io.Writer, i int) {
	args := append([]string{"HSET", prefix + "app:" + id(i)}, properties(i)...)
	fmt.Fprintf(w, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(w, "$%d\r\n%s\r\n", len(arg), arg)
	}
}

// fill writes n applications and their organizations into a server.
func fill(b *testing.B, server *redistest.Server, n int) {
	b.Helper()
	ctx := b.Context()
	for i := 0; i < n; {
		pipe := server.Client().Pipeline()
		for range min(1000, n-i) {
			pipe.HSet(ctx, prefix+"app:"+id(i), properties(i))
			i++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			b.Fatal(err)
		}
	}
	for i := range organizations {
		if err := server.Client().HSet(ctx, prefix+"org:"+organization(i), "code", organization(i), "name", "Acme").Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// records looks up in a server, through the given cache.
func records(b *testing.B, server *redistest.Server, tier map[string]any) *cache.Records {
	b.Helper()
	cfg, err := schema.Parse(map[string]any{
		"issuer": "https://example.kinde.com", "prefix": prefix,
		"signing": map[string]any{"jwks_file": "/keys.json"},
		"redis":   map[string]any{"host": "127.0.0.1", "port": float64(server.Port()), "timeout": 5000.0},
		"cache":   tier,
		"claims": []any{
			map[string]any{"name": "name", "from": "organization.name"}, map[string]any{"name": "region", "from": "application.region"},
			map[string]any{"name": "plan", "from": "application.plan"}, map[string]any{"name": "app", "from": "application.name"},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := cache.New(cfg, nil)
	b.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return r
}

func look(b *testing.B, r *cache.Records, kind schema.Kind, id string) {
	if _, err := r.Record(b.Context(), kind, id); err != nil {
		b.Fatal(err)
	}
}

// median sorts values.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
