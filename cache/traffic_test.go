package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// returned is how soon the service must be back when Redis is.
const returned = 2 * time.Second

// patience is how long a request of the traffic waits, and tardiness how much
// longer it may take on a machine that has nothing else to do.
const (
	patience  = 400 * time.Millisecond
	tardiness = 50 * time.Millisecond
)

// unhurriedly is the patience of traffic whose every request must be served,
// however late the machine is; unhurriedRedis are the timeouts for it.
const unhurriedly = 4 * time.Second

var unhurriedRedis = timeout(1500)

// answer is what one request of the traffic got.
type answer struct {
	id         string
	version    int // of the record; 0: none
	err        error
	begin, end time.Time
}

// traffic asks for records without end and checks every answer. The value of a
// record is its id and a version that grows, so that an answer of another
// record, or one that was never written, shows.
type traffic struct {
	t       *testing.T
	r       *Records
	within  time.Duration // how long a request waits
	ids     []string
	written map[string]*atomic.Int64
	check   atomic.Pointer[func(answer) error] // what the test wants beside
	absent  atomic.Bool                        // "no such record" is a right answer; before it can come

	served, failed atomic.Int64
	wrong          atomic.Int64
	overdue        atomic.Int64 // the longest wait beyond patience, in ns
	away           atomic.Int64 // how long the service took to be back, in ns
	noise          atomic.Int64 // what a mere timer needs beyond patience, in ns

	stopped bool
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

// drive starts the traffic on r. Unless client is nil it first writes a record
// for each id, and waits until they are served; if it is, there may be none.
func drive(t *testing.T, r *Records, client redis.Cmdable, ids ...string) *traffic {
	t.Helper()
	return driveWithin(t, patience, r, client, ids...)
}

// driveWithin is drive with requests that wait for within.
func driveWithin(t *testing.T, within time.Duration, r *Records, client redis.Cmdable, ids ...string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{t: t, r: r, within: within, ids: ids, written: map[string]*atomic.Int64{}, cancel: cancel}
	for _, id := range ids {
		tr.written[id] = &atomic.Int64{}
	}
	tr.absent.Store(client == nil)
	if client != nil {
		tr.put(client)
	}
	for i := range 2 * len(ids) {
		tr.workers.Go(func() { tr.work(ctx, ids[i%len(ids)]) })
		tr.workers.Go(func() { tr.idle(ctx) })
	}
	t.Cleanup(tr.stop)
	if client != nil {
		tr.waitFor("answers", &tr.served, 100)
	}
	return tr
}

func (tr *traffic) work(ctx context.Context, id string) {
	ticker := time.NewTicker(time.Millisecond) // the tests share a small machine
	defer ticker.Stop()
	for ctx.Err() == nil {
		tr.request(ctx, id)
		<-ticker.C
	}
}

func (tr *traffic) request(ctx context.Context, id string) {
	check := tr.check.Load()
	ctx, cancel := context.WithTimeout(ctx, tr.within)
	defer cancel()
	a := answer{id: id, begin: time.Now()}
	var record schema.Record
	record, a.err = tr.r.Record(ctx, schema.Application, id)
	a.end = time.Now()
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the test is over
	}
	raise(&tr.overdue, a.end.Sub(a.begin)-tr.within)
	err := tr.read(&a, record)
	if err == nil && check != nil && check == tr.check.Load() {
		err = (*check)(a)
	}
	if err != nil && tr.wrong.Add(1) <= 5 { // the others are likely the same
		tr.t.Errorf("%s, asked for %v: %v (%v, %v)", id, a.end.Sub(a.begin), err, record, a.err)
	}
	if a.err != nil {
		tr.failed.Add(1)
		return
	}
	tr.served.Add(1)
}

// read takes the version from the record and fails if no answer may be so.
func (tr *traffic) read(a *answer, record schema.Record) error {
	switch {
	case a.err == nil && record == nil:
		return errors.New("no record and no error")
	case errors.Is(a.err, schema.ErrNoRecord) && tr.absent.Load():
	case a.err != nil && !errors.Is(a.err, schema.ErrUnavailable):
		return errors.New("neither a record nor unavailable")
	}
	if record == nil {
		return nil
	}
	id, version, _ := strings.Cut(record["region"], "/")
	if id != a.id {
		return errors.New("the record of another application")
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || int64(n) > tr.written[id].Load() {
		return errors.New("a value that nobody wrote")
	}
	a.version = n
	return nil
}

// idle waits for as long as a request may, again and again: what the machine
// adds to that it also adds to a request.
func (tr *traffic) idle(ctx context.Context) {
	for ctx.Err() == nil {
		begin := time.Now()
		one, cancel := context.WithTimeout(ctx, tr.within)
		<-one.Done()
		cancel()
		raise(&tr.noise, time.Since(begin)-tr.within)
	}
}

func raise(most *atomic.Int64, d time.Duration) {
	for old := most.Load(); int64(d) > old && !most.CompareAndSwap(old, int64(d)); old = most.Load() {
	}
}

// stop ends the traffic. The test fails if a request took too long.
func (tr *traffic) stop() {
	if tr.stopped {
		return
	}
	tr.stopped = true
	tr.cancel()
	tr.workers.Wait()
	overdue, noise := time.Duration(tr.overdue.Load()), time.Duration(tr.noise.Load())
	if overdue > tardiness+5*noise { // a request waits for more goroutines than a timer
		tr.t.Errorf("a request took %v longer than it may, a timer %v", overdue, noise)
	}
	// On a machine that is late a trial can fail, after which there is a pause.
	if away := time.Duration(tr.away.Load()); away > returned+5*noise {
		tr.t.Errorf("a record was served %v after Redis was back, timers were late by %v", away, noise)
	}
	tr.t.Logf("served %d, failed %d, overdue by at most %v, timers by %v", tr.served.Load(), tr.failed.Load(), max(0, overdue), noise)
}

// put writes the next version of every record.
func (tr *traffic) put(client redis.Cmdable) {
	tr.t.Helper()
	for _, id := range tr.ids {
		version := tr.written[id].Add(1)
		if err := client.HSet(tr.t.Context(), prefix+"app:"+id, "region", fmt.Sprintf("%s/%d", id, version)).Err(); err != nil {
			tr.t.Fatal(err)
		}
	}
}

// require has every answer to a request checked by check that is made from now
// on, and answered until something else is required.
func (tr *traffic) require(check func(answer) error) { tr.check.Store(&check) }

// waitFor waits until the counter has grown by n.
func (tr *traffic) waitFor(what string, counter *atomic.Int64, n int64) {
	tr.t.Helper()
	n += counter.Load()
	await.True(tr.t, what, func() bool { return counter.Load() >= n })
}

// back waits until every record is served as it is now. How long that took since
// Redis answers, which was at since, counts when the traffic ends.
func (tr *traffic) back(client redis.Cmdable, since time.Time) {
	tr.t.Helper()
	tr.put(client)
	var mu sync.Mutex
	current := map[string]time.Duration{} // after which the last version was served
	tr.require(func(a answer) error {
		mu.Lock()
		defer mu.Unlock()
		if _, known := current[a.id]; !known && a.err == nil && int64(a.version) == tr.written[a.id].Load() {
			current[a.id] = a.end.Sub(since)
		}
		return nil
	})
	await.True(tr.t, "service", func() bool { mu.Lock(); defer mu.Unlock(); return len(current) == len(tr.ids) })
	for _, took := range current {
		raise(&tr.away, took)
	}
}

// unserved is a check: Redis is silent, and nothing may be served stale.
func unserved(a answer) error {
	if !errors.Is(a.err, schema.ErrUnavailable) {
		return errors.New("an answer without Redis")
	}
	return nil
}

// served is a check: every request is.
func served(a answer) error {
	if a.err != nil {
		return errors.New("not served")
	}
	return nil
}

// fails requires that n requests find Redis silent, and nothing is served stale.
func (tr *traffic) fails(n int64) {
	tr.t.Helper()
	tr.require(unserved)
	tr.waitFor("failures", &tr.failed, n)
	tr.require(anything)
}

// recovers waits until every record is served again, ends traffic and lookups,
// and waits until their connections to servers are gone.
func (tr *traffic) recovers(client redis.Cmdable, servers ...*redistest.Server) {
	tr.t.Helper()
	tr.back(client, time.Now())
	tr.stop()
	closed(tr.t, tr.r, servers...)
}

// anything is a check that ends another one.
func anything(answer) error { return nil }
