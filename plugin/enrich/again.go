package enrich

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"m2m-token-enricher/plugin/splice"
)

// Again returns the answer in h as the result of another request with the same
// bytes, if everything that decides between the verification and the signature is at
// now as it was. ip is the client's, as in an exchange. The error says what isn't;
// then the provider must be asked. It waits no longer than ctx. How old an answer may
// be is the caller's decision.
func (e *Enricher) Again(ctx context.Context, h *Held, ip string, now time.Time) (Result, error) {
	if h.Expires.Sub(now) < time.Second {
		return Result{}, errors.New("the token's life has ended")
	}
	if id, _, err := tokenClient(h.claims, e.cfg.ClientIDClaim); err != nil || id != h.ClientID {
		return Result{}, errors.New("the token names another client")
	}
	if !e.cfg.Enforces(h.ClientID) {
		return Result{}, errors.New("the client is observed, so it gets the provider's own answer")
	}
	ring, err := e.deps.Ring(ctx)
	if err != nil {
		return Result{}, decided(InternalError, "compare the signing key: %w", err)
	}
	if ring.KeyID() != h.KeyID {
		return Result{}, errors.New("another key signs now")
	}
	r := Result{Outcome: Reused, Action: Replace, Status: http.StatusOK, Token: true, ClientID: h.ClientID}
	switch r.issued, err = e.enrichment(ctx, h.claims, ip, &r); {
	case err != nil && ctx.Err() != nil:
		return Result{}, decided(InternalError, "compare the claims: %w", ctx.Err())
	case err != nil:
		return Result{}, err
	}
	if !slices.EqualFunc(r.issued.added, h.Added, identical) {
		return Result{}, errors.New("the claims would differ now")
	}
	r.issued.keyID = h.KeyID
	if r.Body, err = h.bodyAt(now); err != nil {
		return Result{}, err
	}
	return r, nil
}

// Unknown reports whether err, of [Enricher.Again], says that the gateway can't decide
// now. Otherwise it is a no.
func Unknown(err error) bool {
	v, ok := errors.AsType[*verdict](err)
	return ok && v.outcome.GatewayFails()
}

// identical reports whether two claims have the same bytes.
func identical(a, b splice.Member) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }

// InOutage returns r, which is Reused, as the answer to a request that the provider
// fails to answer. cause says how it fails.
func (r Result) InOutage(cause error) Result {
	r.Outcome, r.Cause = ReusedInOutage, cause
	return r
}
