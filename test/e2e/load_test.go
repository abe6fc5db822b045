package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// traffic is clients that ask all the time, each for an application of its own. A
// token that isn't the client's own fails the test. Failed requests are kept.
type traffic struct {
	w     *world
	keys  *stage.Keys
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu       sync.Mutex
	served   int
	latest   time.Time // when the latest request that was served began
	failures []failure
}

// failure is a request that got no token.
type failure struct {
	begun, ended time.Time
	err          error
}

// startTraffic starts n clients. They ask until the test ends, or end is called.
func (w *world) startTraffic(n int) *traffic {
	w.Helper()
	t := &traffic{w: w, keys: stage.NewKeys(w.jwksURL())}
	if _, err := t.keys.Verify(context.Background(), stage.Issuer, w.ask(form()).token()); err != nil { // caches the keys, too
		w.Fatal(err)
	}
	for i := range n {
		id, code := fmt.Sprintf("client-%d", i), fmt.Sprintf("org_%d", i)
		w.provider.Add(id, secret)
		w.record("app:"+id, "org_code", code)
		w.record("org:"+code, "code", code, "name", "Organization of "+id)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	w.Cleanup(t.end)
	for i := range n {
		t.ended.Go(func() { t.client(ctx, fmt.Sprintf("client-%d", i), fmt.Sprintf("org_%d", i)) })
	}
	return t
}

// end stops the clients and waits for their last answers.
func (t *traffic) end() {
	t.stop()
	t.ended.Wait()
}

// endWithoutFailure stops the clients. Each failed request fails the test.
func (t *traffic) endWithoutFailure() {
	t.w.Helper()
	t.end()
	for _, f := range t.failures {
		t.w.Errorf("a request failed: %v", f.err)
	}
}

func (t *traffic) client(ctx context.Context, id, code string) {
	c := &measure.Client{Address: measure.HostPort(t.w.gateway.URL())}
	defer c.Close()
	request := measure.FormRequest(form("client_id", id).Encode())
	var body bytes.Buffer
	for ctx.Err() == nil {
		body.Reset()
		begun := time.Now()
		err := c.Ask(request, &body)
		if err == nil {
			t.check(id, code, body.Bytes())
		}
		t.note(begun, err)
	}
}

// check fails the test unless body has the client's own token.
func (t *traffic) check(id, code string, body []byte) {
	token, err := stage.AccessToken(body)
	if err != nil {
		t.w.Errorf("%s got %s: %v", id, body, err)
		return
	}
	claims, err := t.keys.Verify(context.Background(), stage.Issuer, token)
	if err != nil || claims["azp"] != id || claims["org_code"] != code || claims["org_name"] != "Organization of "+id {
		t.w.Errorf("%s got %v: %v", id, claims, err)
	}
}

func (t *traffic) note(begun time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures = append(t.failures, failure{begun, time.Now(), err})
		return
	}
	t.served++
	if begun.After(t.latest) {
		t.latest = begun
	}
}

var errNotServed = errors.New("too few requests are served")

// serves waits until n more requests are served. At most one of each client
// began before now.
func (t *traffic) serves(n int) {
	t.w.Helper()
	t.mu.Lock()
	from := t.served
	t.mu.Unlock()
	t.w.eventually(func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.served < from+n {
			return fmt.Errorf("%w: %d of %d", errNotServed, t.served-from, n)
		}
		return nil
	})
}

// servesAfter waits until a request is served that began after a time, and
// returns the time of that: every request that begins later must be served, too.
func (t *traffic) servesAfter(since time.Time) time.Time {
	t.w.Helper()
	t.w.eventually(func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.latest.After(since) {
			return errNotServed
		}
		return nil
	})
	return time.Now()
}
