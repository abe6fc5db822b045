package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// minHeap is how many bytes the heap has before it is collected. A gateway with few
// records needs less than 4 MiB, and Go would collect that many times a second.
const minHeap = 12 << 20

// defaultPercent is Go's GOGC: the heap is collected when it has doubled.
const defaultPercent = 100

// collectFrom has the server's heap collected from minHeap on, and a larger one when
// it has doubled. An operator who sets GOGC decides instead. GOMEMLIMIT holds anyway.
func collectFrom() {
	if os.Getenv("GOGC") == "" {
		afterCollections(func() { debug.SetGCPercent(gcPercent(liveHeap())) })
	}
}

// gcPercent is the GOGC for a heap of which live bytes are in use.
func gcPercent(live uint64) int {
	const most = minHeap / (4 << 20) * defaultPercent // Go collects no heap below 4 MiB × GOGC/100
	if live == 0 {
		return most
	}
	return int(min(max(minHeap*100/live, defaultPercent+100)-100, most))
}

// liveHeap is how many bytes the last collection found in use, 0 before the first.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// afterCollections calls act now, and after each collection.
func afterCollections(act func()) {
	act()
	runtime.AddCleanup(new([64]byte), afterCollections, act) // that array is garbage at once
}
