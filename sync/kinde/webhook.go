package kinde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// Limits of what a webhook receives.
const (
	maxEvent      = 64 << 10         // bytes
	maxHandled    = 10_000           // events that are remembered
	eventTimeout  = 20 * time.Second // for one event, including the tenant's answer
	eventOfUpdate = "organization.updated"
	eventOfDelete = "organization.deleted"
)

// Webhook receives the tenant's events of organizations. An event only says which
// organization to read: the record becomes the API's current answer. So events
// may come late, again and in any order. Safe for concurrent use.
type Webhook struct {
	client  *Client
	store   Store
	verify  func(ctx context.Context, event string) (payload []byte, err error)
	log     func(string)
	handled *lru.Cache[string, struct{}] // by event_id
	locks   locks

	unverified unverifiedLog
	receiving  chan struct{} // full if the maximum of requests is being read
}

// locks let one event at a time read an organization and write its record.
// Without them, events of one receiver would be conflicts. Organizations share
// the locks.
type locks struct {
	seed  maphash.Seed
	locks [64]chan struct{}
}

func newLocks() locks {
	l := locks{seed: maphash.MakeSeed()}
	for i := range l.locks {
		l.locks[i] = make(chan struct{}, 1)
	}
	return l
}

func (l *locks) lock(ctx context.Context, code string) (unlock func(), err error) {
	lock := l.locks[maphash.String(l.seed, code)%uint64(len(l.locks))]
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an earlier event: %w", ctx.Err())
	}
}

// Store is what a webhook needs of the records in Redis; [records.Store] is
// one.
type Store interface {
	Get(ctx context.Context, kind schema.Kind, id string) (schema.Record, error)
	Now(ctx context.Context) (records.Timestamp, error)
	PutIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, entries []records.Entry, mode records.Mode) ([]records.Result, error)
	UpdateIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, id string, set schema.Record) error
	DeleteIfUnchanged(ctx context.Context, since records.Timestamp, kind schema.Kind, ids []string, mode records.Mode) (deleted, conflicts []string, err error)
	Touch(ctx context.Context, kind schema.Kind, id string) error
}

// NewWebhook returns a webhook. verify returns the payload of an event that the
// tenant signed; its error wraps schema.ErrUnavailable if the tenant's keys can't
// be fetched. log writes a line for each event, without any secret.
func NewWebhook(client *Client, store Store, verify func(context.Context, string) ([]byte, error), log func(string)) *Webhook {
	handled, err := lru.New[string, struct{}](maxHandled)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return &Webhook{
		client: client, store: store, verify: verify, log: log, handled: handled, locks: newLocks(),
		unverified: unverifiedLog{now: client.now}, receiving: make(chan struct{}, maxReceiving),
	}
}

// event is the payload of an event.
type event struct {
	ID   string `json:"event_id"`
	Type string `json:"type"`
	Data struct {
		Organization struct {
			Code string `json:"code"`
		} `json:"organization"`
	} `json:"data"`
}

// ServeHTTP answers 204 if the event is handled. With any other status, the tenant
// sends it again.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST an event", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), eventTimeout)
	defer cancel()
	e, status, err := h.receive(ctx, w, r)
	if err != nil {
		if line := h.unverified.line(status, err); line != "" {
			h.log(line)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	if status, err = h.handle(ctx, e); err != nil {
		h.log(fmt.Sprintf("event %q of %q: %d: %v", e.ID, e.Data.Organization.Code, status, err))
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// receive returns the event in a request, or an error if the tenant didn't sign
// it.
func (h *Webhook) receive(ctx context.Context, w http.ResponseWriter, r *http.Request) (e event, status int, err error) {
	select {
	case h.receiving <- struct{}{}:
		defer func() { <-h.receiving }()
	default:
		return e, http.StatusServiceUnavailable, fmt.Errorf("%d others are being read", maxReceiving)
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // if it can't be set, the server's own limit counts
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEvent+1))
	_ = control.SetReadDeadline(time.Time{}) // or it would end the request
	switch {
	case err != nil:
		return e, http.StatusBadRequest, errors.New("the body can't be read")
	case len(body) > maxEvent:
		return e, http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", maxEvent)
	}
	payload, err := h.verify(ctx, strings.TrimSpace(string(body)))
	switch {
	case errors.Is(err, schema.ErrUnavailable):
		return e, http.StatusServiceUnavailable, err
	case err != nil:
		return e, http.StatusUnauthorized, err
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, http.StatusBadRequest, errors.New("the payload is no event")
	}
	return e, 0, nil
}

func (h *Webhook) handle(ctx context.Context, e event) (status int, err error) {
	if e.Type != eventOfUpdate && e.Type != eventOfDelete {
		h.log(fmt.Sprintf("event %q: %q doesn't concern the records", e.ID, e.Type))
		return 0, nil
	}
	code := e.Data.Organization.Code
	if !schema.ValidID(code) {
		return http.StatusBadRequest, errors.New("it names no organization")
	}
	if h.handled.Contains(e.ID) {
		return 0, nil
	}
	unlock, err := h.locks.lock(ctx, code)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	defer unlock()
	result, err := h.refresh(ctx, code)
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	if e.ID != "" {
		h.handled.Add(e.ID, struct{}{})
	}
	h.log(fmt.Sprintf("event %q: %s: organization %q %s", e.ID, e.Type, code, result))
	return 0, nil
}
