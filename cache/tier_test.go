package cache

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

// put puts a record into the tier, as an answer of Redis does.
func (t *tier) put(key string, record schema.Record) {
	f, _ := t.join(key, time.Now())
	t.finish(f, entry{record: record, asked: time.Now(), ttl: time.Hour}, nil)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestCountedBytes: what max_bytes counts is about the memory that records
// take.
func TestCountedBytes(t *testing.T) {
	const n = 20_000
	for name, properties := range map[string]int{"one property": 1, "five": 5, "eight": 8, "twenty": 20} {
		t.Run(name, func(t *testing.T) {
			cache := newTier(n, 1<<40)
			before := heap()
			for i := range n {
				record := schema.Record{}
				for p := range properties {
					record[fmt.Sprintf("property_%d", p)] = strings.Clone(fmt.Sprintf("the value %d of %d", p, i))
				}
				cache.put(strings.Clone(fmt.Sprintf("m2m:example.kinde.com:app:%032x", i)), record)
			}
			took := heap() - before
			ratio := float64(cache.bytes) / float64(took)
			t.Logf("counted %d bytes a record, they take %d", cache.bytes/n, took/n)
			if ratio < 0.7 || ratio > 1.5 {
				t.Errorf("counted %d bytes, want about %d, which they take", cache.bytes, took)
			}
			runtime.KeepAlive(cache)
		})
	}
}

func TestMaxBytes(t *testing.T) {
	cache := newTier(1000, 100*sizeOf("k00", entry{record: good}))
	for i := range 1000 {
		cache.put(fmt.Sprintf("k%02d", i%200), good)
		if cache.bytes > cache.maxBytes {
			t.Fatalf("%d bytes are cached, want at most %d", cache.bytes, cache.maxBytes)
		}
	}
	if n := cache.entries.Len(); n < 90 || n > 100 {
		t.Errorf("%d records are cached, want about 100", n)
	}
	before := cache.entries.Len()
	cache.put("large", schema.Record{"x": strings.Repeat("x", cache.maxBytes)})
	if n := cache.entries.Len(); n != before || cache.entries.Contains("large") {
		t.Errorf("%d records are cached, want %d, after one that is larger than the tier", n, before)
	}
	cache.put("k00", schema.Record{"x": strings.Repeat("x", cache.maxBytes)})
	if cache.entries.Contains("k00") {
		t.Error("an outdated record is cached")
	}
}
