//go:build !noworkflow

package workflow

import (
	"fmt"
	"runtime/metrics"
	"sync"
	"time"
)

// maxGrowth is how many bytes the process may grow while a script computes, beside
// the garbage that the collector lets grow.
const maxGrowth = 128 << 20

var errMemory = fmt.Errorf("it was the longest to compute when the process had grown by %d MiB; look for a text or a list that grows", maxGrowth>>20)

// meter measures the process while one script computes. Go doesn't count memory by
// goroutine, so the script that has computed longest is taken for the cause.
type meter struct {
	limit uint64 // 0 before the first look
	spent time.Duration
}

// suspects are the meters of scripts that compute for more than firstLook. It has
// no more than there are slots.
var suspects struct {
	sync.Mutex
	meters map[*meter]bool
	cycle  uint64 // of the collector, at the last interruption
}

// grown compares the size of the process with its size at the first look, and
// reports whether the script must stop: the process has grown too much, and no
// other script has computed longer. The next one isn't stopped before the collector
// has freed what this one held.
func (m *meter) grown(spent time.Duration) bool {
	size, live, cycle := processSize()
	suspects.Lock()
	defer suspects.Unlock()
	if suspects.meters == nil {
		suspects.meters = map[*meter]bool{}
	}
	suspects.meters[m] = true
	m.spent = spent
	if m.limit == 0 {
		m.limit = max(size, 2*live) + maxGrowth
	}
	if size <= m.limit || suspects.cycle != 0 && cycle < suspects.cycle+2 {
		return false
	}
	for other := range suspects.meters {
		if other.spent > spent {
			return false
		}
	}
	suspects.cycle = cycle
	return true
}

// forget is called when the script doesn't compute any longer.
func (m *meter) forget() {
	if m.spent == 0 {
		return
	}
	suspects.Lock()
	defer suspects.Unlock()
	delete(suspects.meters, m)
	m.spent = 0
}

// processSize returns the bytes in use for objects and stacks, the bytes that the
// last collection kept, and its number.
func processSize() (size, live, cycle uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()
}
