package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

const prefix = "m2m:example.kinde.com:"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real Redis and the records in it. It records what is written.
type world struct {
	*testing.T
	*records.Store
	server *redistest.Server

	mu     sync.Mutex
	events []string // each write, with its kind
	puts   map[string]int
}

func start(t *testing.T) *world {
	server := redistest.Start(t)
	w := &world{T: t, server: server, Store: openStore(t, server.Port()), puts: map[string]int{}}
	return w
}

func openStore(t *testing.T, port int) *records.Store {
	t.Helper()
	store := records.Open(redistest.Config(port), prefix, nil)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// PutIfUnchanged implements [Store].
func (w *world) PutIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Result, error) {
	w.event("put", kind)
	results, err := w.Store.PutIfUnchanged(ctx, since, kind, entries, mode)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range results {
		if r.Err == nil && !r.Unchanged() {
			w.puts[kind.Key("", r.ID)]++
		}
	}
	return results, err
}

// DeleteIfUnchanged implements [Store].
func (w *world) DeleteIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, ids []string, mode records.Mode) (deleted, conflicts []string, err error) {
	w.event("delete", kind)
	return w.Store.DeleteIfUnchanged(ctx, since, kind, ids, mode)
}

func (w *world) event(what string, kind schema.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, what+" "+string(kind))
}

// write writes records as an operator does.
func (w *world) write(kind schema.Kind, ids ...string) {
	w.Helper()
	for _, id := range ids {
		if _, err := w.Store.Put(w.Context(), kind, []records.Entry{{ID: id, Properties: schema.Record{"by": "hand"}}}, records.Write); err != nil {
			w.Fatal(err)
		}
	}
}

// dump returns all records in Redis, by key.
func (w *world) dump() map[string]string {
	w.Helper()
	keys, err := w.server.Client().Keys(w.Context(), "*").Result()
	if err != nil {
		w.Fatal(err)
	}
	all := map[string]string{}
	for _, key := range keys {
		if strings.HasPrefix(key, prefix+"written:") {
			continue
		}
		properties, err := w.server.Client().HGetAll(w.Context(), key).Result()
		if err != nil {
			w.Fatal(err)
		}
		all[key] = fmt.Sprint(properties) // sorted
	}
	return all
}

func (w *world) flush() {
	w.Helper()
	if err := w.server.Client().FlushAll(w.Context()).Err(); err != nil {
		w.Fatal(err)
	}
}

// expectKeys expects that Redis has exactly the records with these keys, which are
// without the prefix.
func (w *world) expectKeys(keys ...string) {
	w.Helper()
	want := map[string]bool{}
	for _, key := range keys {
		want[prefix+key] = true
	}
	got := map[string]bool{}
	for key := range w.dump() {
		got[key] = true
	}
	if !maps.Equal(got, want) {
		w.Errorf("got the keys %v, want %v", got, want)
	}
}

// pages are a source. Their Next is their number.
type pages struct {
	list  []Page
	asked []string       // the from of each run
	fail  map[int]error  // what comes instead of a page, by its number from 0
	until map[int]func() // what happens before a page, by its number
}

var errSource = errors.New("the source is out of reach")

// Pages implements [Source].
func (p *pages) Pages(ctx context.Context, from string) iter.Seq2[Page, error] {
	p.asked = append(p.asked, from)
	return func(yield func(Page, error) bool) {
		at := 0
		if from != "" {
			if _, err := fmt.Sscan(from, &at); err != nil || at >= len(p.list) {
				yield(Page{}, ErrCantResume)
				return
			}
		}
		for ; at < len(p.list); at++ {
			if p.until[at] != nil {
				p.until[at]()
			}
			if err := p.fail[at]; err != nil {
				yield(Page{}, err)
				return
			}
			if ctx.Err() != nil {
				return
			}
			page := p.list[at]
			if at+1 < len(p.list) {
				page.Next = fmt.Sprint(at + 1)
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

// entries are records of these identifiers, all with the same property.
func entries(value string, ids ...string) []records.Entry {
	var list []records.Entry
	for _, id := range ids {
		list = append(list, records.Entry{ID: id, Properties: schema.Record{"is": value}})
	}
	return list
}

// threePages has applications, organizations and users on each page.
func threePages() *pages {
	p := &pages{fail: map[int]error{}, until: map[int]func(){}}
	for i := range 3 {
		p.list = append(p.list, Page{Records: map[schema.Kind][]records.Entry{
			schema.Application:  entries("app", fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)),
			schema.Organization: entries("org", fmt.Sprintf("o%d", i)),
			schema.User:         entries("user", fmt.Sprintf("u%d", i)),
		}})
	}
	return p
}

// allKeys are what threePages has.
func allKeys(more ...string) []string {
	for i := range 3 {
		for _, key := range []string{"app:a%d", "app:b%d", "org:o%d", "user:u%d"} {
			more = append(more, fmt.Sprintf(key, i))
		}
	}
	return more
}
