package reuse

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"m2m-token-enricher/plugin/enrich"
)

func numbered(n int) key {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return sha256.Sum256(b[:])
}

// shelf is a store and how its entries are made.
type shelf struct {
	*store
	t    testing.TB
	now  time.Time
	held *enrich.Held // which each answer resembles
}

func newShelf(t testing.TB, maxEntries, maxBytes int) shelf {
	return shelf{newStore(maxEntries, maxBytes), t, time.Now(), held(t, "app", "{}", time.Hour)}
}

// add adds an answer of size bytes, and its own client's unless one is named.
func (s shelf) add(n int, client string, body int) *entry {
	s.t.Helper()
	if client == "" {
		client = fmt.Sprint("client ", n)
	}
	h := *s.held
	h.ClientID, h.Body = client, make([]byte, body)
	e := newEntry(numbered(n), &h, stamp{}, s.now, s.now.Add(time.Hour))
	s.put(e, s.now)
	return e
}

func (s shelf) expect(when string, n int, want bool) {
	s.t.Helper()
	if got := s.peek(numbered(n)) != nil; got != want {
		s.t.Errorf("%s: got entry %d there: %t, want %t", when, n, got, want)
	}
}

// check fails the test unless the counts are right and within the bounds.
func (s shelf) check() {
	s.t.Helper()
	entries, bytes := 0, 0
	clients := map[string]int{}
	for _, part := range []segment{s.probation, s.protected} {
		for _, e := range part.entries.Values() {
			entries, bytes = entries+1, bytes+e.bytes
			if e.held != nil {
				clients[e.held.ClientID]++
			}
		}
	}
	if n, b := s.size(); n != entries || b != bytes || n > s.maxEntries || b > s.maxBytes {
		s.t.Errorf("got %d entries and %d bytes, want %d and %d, at most %d and %d", n, b, entries, bytes, s.maxEntries, s.maxBytes)
	}
	if len(clients) != len(s.clients) {
		s.t.Errorf("got %d clients, want %d", len(s.clients), len(clients))
	}
	for id, n := range clients {
		if len(s.clients[id]) != n || n > maxPerClient {
			s.t.Errorf("got %d answers of %s, want %d, at most %d", len(s.clients[id]), id, n, maxPerClient)
		}
	}
}

// TestFlood: answers and notes that come once, however many, don't push out what was
// given again.
func TestFlood(t *testing.T) {
	for name, flood := range map[string]func(shelf, int){
		"answers":       func(s shelf, n int) { s.add(n, "", 10) },
		"large answers": func(s shelf, n int) { s.add(n, "", 18_000) },
		"notes":         func(s shelf, n int) { s.put(newNote(numbered(n), s.now.Add(time.Minute)), s.now) },
		"with hits in between": func(s shelf, n int) {
			s.add(n, "", 10)
			if n%3 == 0 {
				s.use(s.get(numbered(n % 70)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, 100, 120_000)
			for n := range 70 {
				s.use(s.add(n, "", 10))
			}
			for n := range 3000 {
				flood(s, 1000+n)
				if n%1000 == 0 {
					s.check()
				}
			}
			for n := range 70 {
				s.expect("after the flood", n, true)
			}
			s.check()
		})
	}
}

// TestRenewedStays: the new answer to a request that is used has the place of the old
// one.
func TestRenewedStays(t *testing.T) {
	s := newShelf(t, 10, 1<<20)
	s.use(s.add(1, "", 10))
	renewed := s.add(1, "", 10)
	for n := range 100 {
		s.add(100+n, "", 10)
	}
	if s.peek(numbered(1)) != renewed {
		t.Error("got no renewed answer after a flood")
	}
	s.check()
}

// TestRefusedGoes: a refusal doesn't have the protected place of the answer before it.
func TestRefusedGoes(t *testing.T) {
	s := newShelf(t, 10, 1<<20)
	s.use(s.add(1, "", 10))
	now := time.Now()
	s.put(newRefusal(numbered(1), now, now.Add(time.Hour)), now)
	for n := range 100 {
		s.add(100+n, "", 10)
	}
	if s.peek(numbered(1)) != nil {
		t.Error("got the refusal after a flood, want it gone")
	}
	s.check()
}

// TestNewOnesHaveRoom: answers that are given again don't take all of the store.
func TestNewOnesHaveRoom(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 10, 100} {
		s := newShelf(t, size, 1<<20)
		for n := range 3 * size {
			s.use(s.add(n, "", 10))
			s.expect("used", n, true)
			s.add(1000+n, "", 10)
			s.expect("new", 1000+n, true)
			s.check()
		}
	}
}

// TestClientsShare: one client has 64 answers at most, and its oldest goes first.
func TestClientsShare(t *testing.T) {
	s := newShelf(t, 10_000, 1<<30)
	s.add(0, "other", 10)
	for n := range 100 {
		s.use(s.add(1+n, "app", 10))
	}
	s.expect("another client's", 0, true)
	s.expect("the 65th last", 100-64, false)
	s.expect("the 64th last", 101-64, true)
	s.check()
}

// TestUseless: what has no more use is dropped first.
func TestUseless(t *testing.T) {
	s := newShelf(t, 10, 1<<20)
	for n := range 10 {
		s.use(s.add(n, "", 10))
	}
	s.now = s.now.Add(time.Hour)
	s.add(10, "", 10)
	if n, _ := s.size(); n != 1 {
		t.Errorf("got %d entries, want the new one", n)
	}
	s.check()
}

// TestAnswers: a note that requests don't wait for each other is no answer.
func TestAnswers(t *testing.T) {
	s := newShelf(t, 10, 1<<20)
	for n := range 3 {
		s.add(n, fmt.Sprint("app ", n%2), 10)
		s.put(newNote(numbered(100+n), s.now.Add(time.Hour)), s.now)
	}
	s.remove(s.peek(numbered(0)))
	if n, _ := s.size(); s.answers() != 2 || n != 5 {
		t.Errorf("got %d answers in %d entries, want 2 in 5", s.answers(), n)
	}
}

// TestTooLarge: an answer over a fifth of max_bytes isn't held.
func TestTooLarge(t *testing.T) {
	s := newShelf(t, 10, 100_000)
	for n := range 4 {
		s.use(s.add(n, "", 10_000))
	}
	s.add(10, "", 20_000)
	s.expect("too large", 10, false)
	s.add(11, "", 18_000)
	s.expect("just small enough", 11, true)
	for n := range 4 {
		s.expect("used", n, true)
	}
	s.check()
}

// TestStoreModel: whatever is added, used and removed, the counts are right and within
// their bounds.
func TestStoreModel(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := newShelf(t, 1+random.IntN(60), 20_000+random.IntN(100_000))
		for range 1000 {
			n := random.IntN(100)
			s.now = s.now.Add(time.Duration(random.IntN(20)) * time.Second)
			switch random.IntN(6) {
			case 0, 1:
				s.add(n, fmt.Sprint("client ", n%4), random.IntN(4000))
			case 2:
				s.put(newNote(numbered(n), s.now.Add(time.Minute)), s.now)
			case 3, 4:
				if e := s.get(numbered(n)); e != nil && e.held != nil {
					s.use(e)
				}
			case 5:
				if e := s.peek(numbered(n)); e != nil {
					s.remove(e)
				}
			}
		}
		s.check()
		s.removeAll(func(e *entry) bool { return true })
		if n, b := s.size(); n != 0 || b != 0 || len(s.clients) != 0 {
			t.Errorf("emptied: got %d entries, %d bytes, %d clients", n, b, len(s.clients))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestLateUse: an answer that was replaced while it was given isn't put back.
func TestLateUse(t *testing.T) {
	s := newShelf(t, 10, 1<<20)
	old := s.add(1, "", 10)
	renewed := s.add(1, "", 10)
	s.use(old)
	s.remove(old)
	if s.peek(numbered(1)) != renewed {
		t.Error("got another entry than the renewed one")
	}
	s.check()
}

// TestCountedBytes: what max_bytes counts is about the memory that answers take.
func TestCountedBytes(t *testing.T) {
	const n = 400
	for name, size := range map[string]int{"short tokens": 500, "long tokens": 5000} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, 2*n, 1<<30)
			before := heap()
			for i := range n {
				h := held(t, fmt.Sprint("client ", i), fmt.Sprintf(`{"access_token":"%0*d","token_type":"Bearer"}`, size, i), time.Hour)
				s.put(newEntry(numbered(i), h, stamp{}, s.now, s.now.Add(time.Hour)), s.now)
			}
			took := heap() - before
			_, counted := s.size()
			if ratio := float64(counted) / float64(took); ratio < 0.7 || ratio > 1.5 {
				t.Errorf("counted %d bytes an answer, want about %d, which it takes", counted/n, took/n)
			}
			runtime.KeepAlive(s)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
