package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"m2m-token-enricher/test/await"
)

// TestGCPercent: the heap is collected at minHeap, or when it has doubled.
func TestGCPercent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct{ live, collected uint64 }{
		{0, 0}, {1 * mib, 4 * mib}, // and Go adds what is missing to minHeap
		{4 * mib, minHeap}, {5 * mib, minHeap}, {6 * mib, minHeap}, {7 * mib, 14 * mib}, {100 * mib, 200 * mib}, {1 << 40, 1 << 41},
	} {
		got := tt.live + tt.live*uint64(gcPercent(tt.live))/100
		if got > tt.collected || got < tt.collected*98/100 {
			t.Errorf("with %d MiB in use, it is collected at %d MiB, want %d MiB", tt.live/mib, got/mib, tt.collected/mib)
		}
	}
	if got, want := gcPercent(0), 300; got != want {
		t.Errorf("gcPercent(0) = %d, want %d", got, want)
	}
}

// TestCollectFrom: the percentage follows the heap, unless the operator set one.
func TestCollectFrom(t *testing.T) {
	before := debug.SetGCPercent(defaultPercent)
	defer debug.SetGCPercent(before)
	set := func() int { // in force
		percent := debug.SetGCPercent(defaultPercent)
		debug.SetGCPercent(percent)
		return percent
	}
	t.Run("GOGC", func(t *testing.T) {
		t.Setenv("GOGC", "150")
		collectFrom()
		if got := set(); got != defaultPercent {
			t.Errorf("GOGC is %d, want the operator's", got)
		}
	})
	t.Setenv("GOGC", "")
	runtime.GC() // of what other tests left
	collectFrom()
	if got := set(); got <= defaultPercent {
		t.Errorf("with a small heap, GOGC is %d, want more than %d", got, defaultPercent)
	}
	large := make([]byte, 4*minHeap)
	await.True(t, "default for a large heap", func() bool {
		runtime.GC()
		return set() == defaultPercent
	})
	runtime.KeepAlive(large)
}
