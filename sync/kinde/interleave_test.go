package kinde

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// TestInterleavings: in any order of runs, events and the tenant's changes, and
// however long its answers take, no record returns to an older state of the
// tenant. In the end each record equals the tenant's.
func TestInterleavings(t *testing.T) {
	server := redistest.Start(t)
	for seed := range uint64(25) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := startHistory(t, server, seed)
			for range 120 {
				h.step()
			}
			for h.release() {
			}
			h.mu.Lock()
			h.open = true
			h.mu.Unlock()
			h.expectNothingOld()
			if err := h.synchronize(); err != nil {
				t.Error(err)
			}
			h.expectEqual()
		})
	}
}

func startHistory(t *testing.T, server *redistest.Server, seed uint64) *history {
	s := &synced{world: start(t), T: t, server: server}
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.store = s.open(server.Port())
	h := &history{
		synced: s, random: rand.New(rand.NewPCG(seed, 1)),
		deleted: map[string]int{}, floor: map[string]int{}, moved: make(chan struct{}, 1),
	}
	for range 2 {
		client, o := h.observe()
		trusting := func(_ context.Context, event string) ([]byte, error) { return payloadOf(event) }
		h.receivers = append(h.receivers, NewWebhook(client, o, trusting, func(string) {}))
	}
	for id, code := range names {
		h.setApplication(id)
		h.setOrganization(code)
	}
	return h
}

// step does one thing: a request continues, the tenant changes, or a run begins.
func (h *history) step() {
	switch n := h.random.IntN(10); {
	case n == 0 && h.runs < 8:
		h.runs++
		h.spawn(func() { _ = h.synchronize() }) // it may leave records to the next
	case n < 3:
		if event := h.change(); event != "" {
			receiver := h.receivers[h.random.IntN(len(h.receivers))]
			h.spawn(func() { h.deliver(receiver, event) })
		}
	default:
		h.release()
	}
}
