package benchrecords

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// keepAll configures a tier that keeps every record during a benchmark.
var keepAll = map[string]any{"ttl": 86400.0, "max_entries": 2e6, "max_bytes": float64(8 << 30)}

// BenchmarkTierMemory is what the tier takes for each cached record.
func BenchmarkTierMemory(b *testing.B) {
	server := redistest.Start(b)
	fill(b, server, 1_000_000)
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				r := records(b, server, keepAll)
				before := heap()
				lookUp(b, r, n)
				b.ReportMetric(float64(heap()-before)/float64(n), "bytes/record")
				runtime.KeepAlive(r)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// lookUp looks n applications up, several at once.
func lookUp(b *testing.B, r *cache.Records, n int) {
	var workers sync.WaitGroup
	const parallel = 32
	for w := range parallel {
		workers.Go(func() {
			for i := w; i < n; i += parallel {
				if _, err := r.Record(b.Context(), schema.Application, id(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// BenchmarkHit is a lookup that the tier answers.
func BenchmarkHit(b *testing.B) {
	server := redistest.Start(b)
	fill(b, server, 1000)
	r := records(b, server, keepAll)
	lookUp(b, r, 1000)
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = id(i)
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			look(b, r, schema.Application, ids[i%1000])
			i++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				look(b, r, schema.Application, ids[i%1000])
			}
		})
	})
}

// BenchmarkMiss is a lookup that Redis answers, beside the same command by the
// driver alone, in turns.
func BenchmarkMiss(b *testing.B) {
	const rounds, each = 9, 2000
	server := redistest.Start(b)
	fill(b, server, 10_000)
	r := records(b, server, map[string]any{"ttl": 0.0, "negative_ttl": 0.0, "stale_ttl": 0.0})
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	b.Cleanup(func() { _ = raw.Close() })
	timed := func(lookup func(i int)) float64 {
		begin := time.Now()
		for i := range each {
			lookup(i)
		}
		return float64(time.Since(begin).Microseconds()) / each
	}
	for b.Loop() {
		var ours, driver []float64
		for range rounds {
			ours = append(ours, timed(func(i int) { look(b, r, schema.Application, id(i)) }))
			driver = append(driver, timed(func(i int) {
				key := prefix + "app:" + id(i)
				if err := raw.HMGet(b.Context(), key, "org_code", "user_id", "region", "plan", "name").Err(); err != nil {
					b.Fatal(err)
				}
			}))
		}
		b.ReportMetric(median(ours), "µs/lookup")
		b.ReportMetric(median(driver), "µs/go-redis")
		b.ReportMetric(median(ours)/median(driver), "of-go-redis")
	}
}

// BenchmarkSize is the 99th percentile of a lookup that Redis answers, with ten
// thousand to a million records in it, in turns.
func BenchmarkSize(b *testing.B) {
	const rounds, each = 9, 5000
	sizes := []int{10_000, 100_000, 1_000_000}
	var all []*cache.Records
	for _, n := range sizes {
		server := redistest.Start(b)
		fill(b, server, n)
		all = append(all, records(b, server, map[string]any{"ttl": 0.0, "negative_ttl": 0.0, "stale_ttl": 0.0}))
	}
	for b.Loop() {
		p99s := make([][]float64, len(sizes))
		for range rounds {
			for s, r := range all {
				p99s[s] = append(p99s[s], p99(b, r, sizes[s], each))
			}
		}
		for s, n := range sizes {
			b.ReportMetric(median(p99s[s]), fmt.Sprintf("µs-p99-at-%d", n))
		}
		b.ReportMetric(median(p99s[2])/median(p99s[0]), "of-the-smallest")
	}
}

func p99(b *testing.B, r *cache.Records, n, each int) float64 {
	took := make([]time.Duration, each)
	for i := range took {
		begin := time.Now()
		look(b, r, schema.Application, id(rand.IntN(n)))
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return float64(took[each*99/100].Microseconds())
}

// BenchmarkSteadyState counts the commands for each token with a thousand
// active applications, a thousand tokens a second and the default cache, once
// the cache is warm.
func BenchmarkSteadyState(b *testing.B) {
	const rate, span = 1000, 65 * time.Second
	server := redistest.Start(b)
	fill(b, server, 1000)
	r := records(b, server, map[string]any{})
	token := func() {
		i := rand.IntN(1000)
		look(b, r, schema.Application, id(i))
		look(b, r, schema.Organization, organization(i))
	}
	for i := range 1000 {
		look(b, r, schema.Application, id(i))
	}
	for b.Loop() {
		before, tokens := calls(b, server), 0
		ticker := time.NewTicker(time.Second / rate)
		for begin := time.Now(); time.Since(begin) < span; tokens++ {
			token()
			<-ticker.C
		}
		ticker.Stop()
		b.ReportMetric(float64(calls(b, server)-before)/float64(tokens), "commands/token")
		b.ReportMetric(float64(tokens)/span.Seconds(), "tokens/s")
	}
}

// BenchmarkStampede counts the commands for ten thousand first requests at
// once for one application.
func BenchmarkStampede(b *testing.B) {
	server := redistest.Start(b)
	fill(b, server, 10)
	for b.Loop() {
		r := records(b, server, keepAll)
		before := calls(b, server)
		begin := make(chan struct{})
		var requests sync.WaitGroup
		for range 10_000 {
			requests.Go(func() {
				<-begin
				if _, err := r.Record(b.Context(), schema.Application, id(1)); err != nil {
					b.Error(err)
				}
			})
		}
		close(begin)
		requests.Wait()
		b.ReportMetric(float64(calls(b, server)-before), "commands")
	}
}

// calls is how often a server was asked for a record.
func calls(b *testing.B, server *redistest.Server) int {
	b.Helper()
	stats, err := server.Client().Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	total := 0
	for _, name := range []string{"hmget", "exists"} {
		_, rest, found := strings.Cut(stats, "cmdstat_"+name+":calls=")
		if n := 0; found {
			_, _ = fmt.Sscan(rest, &n)
			total += n
		}
	}
	return total
}
