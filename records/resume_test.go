package records

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// file is a file with rows that name some records more than once.
type file struct {
	text string
	rows []Entry // by line, from 0
}

func randomFile(random *rand.Rand, rows int) file {
	var f file
	for i := range rows {
		id, value := fmt.Sprintf("app_%d", random.IntN(rows)), fmt.Sprint(i)
		f.text += rowOf(id, value)
		f.rows = append(f.rows, Entry{id, recordOf(value)})
	}
	return f
}

// after is what the first lines of f make of the records.
func (f file) after(lines int) map[string]schema.Record {
	all := map[string]schema.Record{}
	for _, e := range f.rows[:lines] {
		all[e.ID] = e.Properties
	}
	return all
}

// expectWritten expects that every row before line next is written, or a later one
// of the same record.
func (f file) expectWritten(t *testing.T, all map[string]schema.Record, next int) {
	t.Helper()
	good := map[string][]schema.Record{}
	for i, e := range f.rows {
		if i < next-1 {
			good[e.ID] = nil // an earlier row says something else
		}
		good[e.ID] = append(good[e.ID], e.Properties)
	}
	for id := range f.after(next - 1) {
		if !slices.ContainsFunc(good[id], func(r schema.Record) bool { return maps.Equal(r, all[id]) }) {
			t.Errorf("got line %d to continue from, but %s is %v", next, id, all[id])
			return
		}
	}
}

// TestImportResumes: an import that is interrupted often and anywhere says where to
// continue. In the end the records are what the file says.
func TestImportResumes(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	s := open(t, redistest.Config(proxy.Port()), prefix)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	const rows = 2000
	for range 3 {
		if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		f := randomFile(random, rows)
		var sum Summary
		cuts := 0
		for next := 0; ; cuts++ {
			ctx, cancel := context.WithCancel(t.Context())
			if cuts < 6 {
				cutSome(proxy, random, cancel)
			}
			got := importText(ctx, s, Write, false, f.text, next)
			cancel()
			proxy.Pass()
			sum.New += got.New
			sum.Changed += got.Changed
			sum.Unchanged += got.Unchanged
			if got.err == nil {
				if got.Next != 0 {
					t.Errorf("got line %d to continue from, want none: it is complete", got.Next)
				}
				break
			}
			if got.Next == 0 {
				if errors.Is(got.err, context.Canceled) {
					break // cancelled after the last record
				}
				t.Fatalf("got %v and no line to continue from", got.err)
			}
			next = got.Next
			f.expectWritten(t, everything(t, server.Client()), next)
		}
		want := f.after(rows)
		expectEverything(t, server.Client(), want)
		if counted := sum.New + sum.Changed + sum.Unchanged; sum.New > len(want) || counted > (cuts+1)*rows || cuts == 0 && counted != rows {
			t.Errorf("after %d cuts: %+v of %d rows", cuts, sum, rows)
		}
	}
}

// cutSome ends the connections, or the whole import, or a reply, at one of the
// next commands.
func cutSome(proxy *redistest.Proxy, random *rand.Rand, cancel func()) {
	var left atomic.Int64
	left.Store(random.Int64N(4000) + 1)
	part := random.IntN(64)
	cut := []func(){proxy.Drop, cancel, func() { proxy.CutReply(part) }}[random.IntN(3)]
	proxy.Handle(func([]string) (string, bool) {
		if left.Add(-1) == 0 {
			cut()
		}
		return "", false
	})
}

// TestImportCancelledAtOnce writes nothing, and says to continue from line 1.
func TestImportCancelledAtOnce(t *testing.T) {
	server, s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := importText(ctx, s, Write, false, strings.Repeat(rowOf("a", "1"), 10), 0)
	if !errors.Is(got.err, context.Canceled) || got.Summary != (Summary{Next: 1}) {
		t.Errorf("got %+v, %v", got.Summary, got.err)
	}
	expectEverything(t, server.Client(), nil)
}
