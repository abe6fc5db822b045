package kinde

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"m2m-token-enricher/test/idptest"
)

const secret = "s3cret-of-the-sync"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a stub tenant and a client of it. Waits take no time, but are recorded
// and move the client's clock.
type world struct {
	*Client
	t      *testing.T
	tenant *idptest.Tenant

	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
	at    func(d time.Duration) // what happens during a wait; may be nil
}

func start(t *testing.T) *world {
	t.Helper()
	tenant, err := idptest.StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	tenant.Add("sync", secret)
	client, err := New(tenant.URL(), Credentials{"sync", secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w := &world{Client: client, t: t, tenant: tenant, now: time.Now()}
	client.now, client.wait = w.clock, w.pass
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.waits = append(w.waits, d)
	w.mu.Unlock()
	if w.at != nil {
		w.at(d)
	}
	return ctx.Err()
}

// waited returns the waits until now.
func (w *world) waited() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.waits)
}

// answer makes the tenant answer every request for path with status and body.
func (w *world) answer(path string, status int, body string) {
	w.tenant.Replace(path, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		fmt.Fprint(rw, body)
	})
}

// all returns the ids of all applications, page by page.
func (w *world) all(ctx context.Context) (pages [][]string, err error) {
	for page, err := range w.Applications(ctx, "") {
		if err != nil {
			return pages, err
		}
		pages = append(pages, ids(page))
	}
	return pages, nil
}

func ids(page Page) []string {
	list := []string{}
	for _, a := range page.Applications {
		list = append(list, a.ID)
	}
	return list
}

// expectError expects that err has all of words, and nothing secret.
func (w *world) expectError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got the error %v, want %q in it", err, word)
		}
	}
	w.expectNothingSecret(t, fmt.Sprintf("%v %+v %q", err, err, err))
}

func (w *world) expectNothingSecret(t *testing.T, shown string) {
	t.Helper()
	for _, s := range append(w.bearer.issued(), secret) {
		if strings.Contains(shown, string(s)) {
			t.Errorf("it shows a secret: %s", shown)
		}
	}
}
