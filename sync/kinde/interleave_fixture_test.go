package kinde

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/idptest"
)

// history is a tenant that changes while runs and receivers read it. Each change
// has a higher revision, which becomes the name of the application or organization.
// Requests stop before they are sent and before their answers are read, until the
// history releases one. Its random numbers decide the order.
type history struct {
	*synced
	random    *rand.Rand
	receivers []*Webhook
	runs      int // that were started

	tenantMu sync.RWMutex // locked for writing while the tenant changes
	revision int
	deleted  map[string]int // the revision at which it was deleted last, by key

	storeMu sync.Mutex     // one write after the other
	floor   map[string]int // the revision that Redis has, or had, by key

	mu      sync.Mutex
	open    bool
	waiting []chan struct{}
	active  int           // runs and events that haven't ended
	moved   chan struct{} // full when something waits or has ended
}

func (h *history) wake() {
	select {
	case h.moved <- struct{}{}:
	default:
	}
}

// stop waits until the history releases this request.
func (h *history) stop() {
	h.mu.Lock()
	if h.open {
		h.mu.Unlock()
		return
	}
	released := make(chan struct{})
	h.waiting = append(h.waiting, released)
	h.mu.Unlock()
	h.wake()
	<-released
}

// release releases a random request. It returns false if none waits and none can
// come.
func (h *history) release() bool {
	for {
		h.mu.Lock()
		if n := len(h.waiting); n > 0 {
			i := h.random.IntN(n)
			close(h.waiting[i])
			h.waiting[i] = h.waiting[n-1]
			h.waiting = h.waiting[:n-1]
			h.mu.Unlock()
			return true
		}
		idle := h.active == 0
		h.mu.Unlock()
		if idle {
			return false
		}
		<-h.moved
	}
}

// spawn starts a run or an event.
func (h *history) spawn(f func()) {
	h.mu.Lock()
	h.active++
	h.mu.Unlock()
	go func() {
		f()
		h.mu.Lock()
		h.active--
		h.mu.Unlock()
		h.wake()
	}()
}

// observer is the transport of one client and its store. absent has the deletions
// that the tenant's answers showed it, by key.
type observer struct {
	*history
	*records.Store
	base   http.RoundTripper
	mu     sync.Mutex
	absent map[string]int
}

// observe returns a new client and its store.
func (h *history) observe() (*Client, *observer) {
	client, err := New(h.tenant.URL(), Credentials{"sync", secret})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(client.Close)
	client.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	o := &observer{history: h, Store: h.store, base: client.http.Transport, absent: map[string]int{}}
	client.http.Transport = o
	return client, o
}

// RoundTrip implements [http.RoundTripper].
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return o.base.RoundTrip(r)
	}
	o.stop()
	defer o.stop()
	o.tenantMu.RLock()
	defer o.tenantMu.RUnlock()
	resp, err := o.base.RoundTrip(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch code := "org:" + r.FormValue("code"); {
	case err != nil:
	case resp.StatusCode == http.StatusNotFound && r.URL.Path == "/api/v1/organization":
		o.absent[code] = o.deleted[code]
	case r.URL.Path == "/api/v1/applications":
		for key, revision := range o.deleted {
			if strings.HasPrefix(key, "app:") {
				o.absent[key] = revision
			}
		}
	}
	return resp, err
}

// applied fails the test if Redis was newer than revision.
func (o *observer) applied(key string, revision int) {
	if revision < o.floor[key] {
		o.Errorf("%s went back from revision %d to %d", key, o.floor[key], revision)
	}
	o.floor[key] = max(revision, o.floor[key])
}

// PutIfUnchanged implements [Store] and [reconcile.Store].
func (o *observer) PutIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Result, error) {
	o.storeMu.Lock()
	defer o.storeMu.Unlock()
	results, err := o.Store.PutIfUnchanged(ctx, since, kind, entries, mode)
	for _, r := range results {
		if r.Err == nil {
			revision, _ := strconv.Atoi(r.After["name"])
			o.applied(kind.Key("", r.ID), revision)
		}
	}
	return results, err
}

// DeleteIfUnchanged implements [Store] and [reconcile.Store]. An organization that the
// tenant has is deleted, too, when no application names it any more.
func (o *observer) DeleteIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, ids []string, mode records.Mode) (deleted, conflicts []string, err error) {
	o.storeMu.Lock()
	defer o.storeMu.Unlock()
	deleted, conflicts, err = o.Store.DeleteIfUnchanged(ctx, since, kind, ids, mode)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range deleted {
		if revision, known := o.absent[kind.Key("", id)]; known {
			o.applied(kind.Key("", id), revision)
		}
	}
	return deleted, conflicts, err
}

// synchronize makes one run.
func (h *history) synchronize() error {
	client, o := h.observe()
	run := h.run()
	run.Store = o
	run.Source.(*Source).Client = client
	_, err := run.Do(h.Context())
	return err
}

// deliver posts an event until the receiver took it.
func (h *history) deliver(receiver *Webhook, event string) {
	for {
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, httptest.NewRequestWithContext(h.Context(), http.MethodPost, "/", strings.NewReader(event)))
		if w.Code != http.StatusServiceUnavailable {
			if w.Code != http.StatusNoContent {
				h.Errorf("an event is answered with %d", w.Code)
			}
			return
		}
	}
}

// payloadOf returns the payload of an event without verifying it.
func payloadOf(event string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.Split(event, ".")[1])
}

// names are what the applications name.
var names = map[string]string{"a0": "o0", "a1": "o1", "a2": "o0"}

// change changes the tenant, and returns the event that it sends, if any.
func (h *history) change() (event string) {
	h.tenantMu.Lock()
	defer h.tenantMu.Unlock()
	h.revision++
	deleted := h.random.IntN(4) == 0
	if h.random.IntN(4) == 0 {
		id := []string{"a0", "a1", "a2"}[h.random.IntN(3)]
		if deleted {
			h.tenant.RemoveApplication(id)
			h.deleted["app:"+id] = h.revision
		} else {
			h.setApplication(id)
		}
		return ""
	}
	code, kind := fmt.Sprint("o", h.random.IntN(2)), eventOfUpdate
	if deleted {
		kind = eventOfDelete
		h.tenant.RemoveOrganization(code)
		h.deleted["org:"+code] = h.revision
	} else {
		h.setOrganization(code)
	}
	return h.tenant.Webhook(kind, map[string]any{"organization": map[string]any{"code": code}})
}

func (h *history) setApplication(id string) {
	h.tenant.SetApplication(idptest.Application{ID: id, Name: fmt.Sprint(h.revision), Type: "m2m", Properties: map[string]any{"org_code": names[id]}})
}

func (h *history) setOrganization(code string) {
	h.tenant.SetOrganization(idptest.Organization{Code: code, Name: fmt.Sprint(h.revision), IsSuspended: h.revision%2 == 0})
}

// current returns the tenant's current answers, by key.
func (h *history) current() map[string]schema.Record {
	all := map[string]schema.Record{}
	client, _ := h.observe()
	for page, err := range client.Applications(h.Context(), "") {
		if err != nil {
			h.Fatal(err)
		}
		for _, a := range page.Applications {
			all["app:"+a.ID] = schema.Record{"name": a.Name, "type": a.Type, "org_code": names[a.ID]}
		}
	}
	for _, code := range []string{"o0", "o1"} {
		if o, err := client.Organization(h.Context(), code); err == nil {
			all["org:"+code] = o
		}
	}
	return all
}

// expectNothingOld expects that each organization in Redis equals the tenant's.
func (h *history) expectNothingOld() {
	want := h.current()
	for key, got := range h.dump() {
		if strings.HasPrefix(key, "org:") && !maps.Equal(got, want[key]) {
			h.Errorf("all events are handled: got %s = %v, want %v", key, got, want[key])
		}
	}
}

// expectEqual expects that Redis equals the tenant.
func (h *history) expectEqual() {
	want := h.current()
	for _, code := range []string{"o0", "o1"} {
		named := false
		for id, name := range names {
			named = named || name == code && want["app:"+id] != nil
		}
		if !named {
			delete(want, "org:"+code)
		}
	}
	h.expect(want)
}
