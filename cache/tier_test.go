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
			held := newTier(n, 1<<40)
			before := heap()
			for i := range n {
				record := schema.Record{}
				for p := range properties {
					record[fmt.Sprintf("property_%d", p)] = strings.Clone(fmt.Sprintf("the value %d of %d", p, i))
				}
				held.put(strings.Clone(fmt.Sprintf("m2m:example.kinde.com:app:%032x", i)), record)
			}
			took := heap() - before
			ratio := float64(held.bytes) / float64(took)
			t.Logf("counted %d bytes a record, they take %d", held.bytes/n, took/n)
			if ratio < 0.7 || ratio > 1.5 {
				t.Errorf("counted %d bytes, but they take %d", held.bytes, took)
			}
			runtime.KeepAlive(held)
		})
	}
}

func TestMaxBytes(t *testing.T) {
	held := newTier(1000, 100*sizeOf("k00", entry{record: good}))
	for i := range 1000 {
		held.put(fmt.Sprintf("k%02d", i%200), good)
		if held.bytes > held.maxBytes {
			t.Fatalf("%d bytes are held, more than %d", held.bytes, held.maxBytes)
		}
	}
	if n := held.entries.Len(); n < 90 || n > 100 {
		t.Errorf("%d records are held", n)
	}
	before := held.entries.Len()
	held.put("large", schema.Record{"x": strings.Repeat("x", held.maxBytes)})
	if n := held.entries.Len(); n != before || held.entries.Contains("large") {
		t.Errorf("%d records are held, not %d, after one that is larger than the tier", n, before)
	}
	held.put("k00", schema.Record{"x": strings.Repeat("x", held.maxBytes)})
	if held.entries.Contains("k00") {
		t.Error("a record is held that isn't what Redis said last")
	}
}
