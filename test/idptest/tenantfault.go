package idptest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// faults are how the management API misbehaves. The zero value is a good one.
type faults struct {
	calls int           // until now
	fail  map[int]int   // status by number of the call
	cut   map[int]bool  // by number of the call
	delay time.Duration // of each answer

	limit int           // calls in a window; zero: no limit
	reset time.Duration // a window's length
	left  int           // calls in this window
	until time.Time     // this window's end
}

// FailCall makes the n-th call of the API from now, the first being 1, fail
// with status.
func (t *Tenant) FailCall(n, status int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.faults.fail == nil {
		t.faults.fail = map[int]int{}
	}
	t.faults.fail[t.faults.calls+n] = status
}

// CutCall ends the connection in the middle of the answer to the n-th call of
// the API from now, the first being 1.
func (t *Tenant) CutCall(n int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.faults.cut == nil {
		t.faults.cut = map[int]bool{}
	}
	t.faults.cut[t.faults.calls+n] = true
}

// Delay makes the API answer after d from now on, or when the client has gone.
func (t *Tenant) Delay(d time.Duration) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.faults.delay = d
}

// LimitRate allows a number of calls of the API in each window of the length
// reset, the first of which begins now, and answers 429 to more. Every answer has
// the RateLimit headers. Zero calls mean no limit.
func (t *Tenant) LimitRate(calls int, reset time.Duration) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.faults.limit, t.faults.reset = calls, reset
	t.faults.renew()
}

// NextWindow begins a new window of the rate limit now, as its end does.
func (t *Tenant) NextWindow() {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.faults.renew()
}

// Replace makes h answer every request for path, which may be any endpoint's and
// is compared unescaped. A nil h ends it.
func (t *Tenant) Replace(path string, h http.HandlerFunc) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.replaced[path] = h
}

func (t *Tenant) replacing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, _ := find(t, t.replaced, r.URL.Path); h != nil {
			h(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// renew begins a window.
func (f *faults) renew() { f.left, f.until = f.limit, time.Now().Add(f.reset) }

// reaction is how the API treats one call.
type reaction struct {
	status  int // zero: a good answer
	cut     bool
	delay   time.Duration
	headers http.Header
}

func (t *Tenant) next() reaction {
	t.lock.Lock()
	defer t.lock.Unlock()
	f := &t.faults
	f.calls++
	v := reaction{status: f.fail[f.calls], cut: f.cut[f.calls], delay: f.delay}
	if f.limit == 0 {
		return v
	}
	if time.Now().After(f.until) {
		f.renew()
	}
	if f.left == 0 {
		v.status = http.StatusTooManyRequests
	}
	f.left = max(0, f.left-1)
	wait := time.Until(f.until) + time.Second - 1 // whole seconds, rounded up
	v.headers = http.Header{}
	v.headers.Set("RateLimit-Limit", strconv.Itoa(f.limit))
	v.headers.Set("RateLimit-Remaining", strconv.Itoa(f.left))
	v.headers.Set("RateLimit-Reset", strconv.Itoa(int(wait/time.Second)))
	return v
}

func (t *Tenant) misbehaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := t.next()
		maps.Copy(w.Header(), v.headers)
		if v.delay > 0 {
			timer := time.NewTimer(v.delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
			}
		}
		switch {
		case v.status != 0:
			deny(w, v.status, "FAULT", http.StatusText(v.status))
		case v.cut:
			cutShort(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// cutShort sends half of what next answers and ends the connection.
func cutShort(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	_ = http.NewResponseController(w).Flush() // or nothing would be sent
	panic(http.ErrAbortHandler)               // ends the connection without a line in the log
}
