package enrich

import (
	"context"
	"errors"
	"testing"
)

// TestNeedsDetails: the bodies and the status alone decide most exchanges.
func TestNeedsDetails(t *testing.T) {
	const plain, answer = "grant_type=client_credentials&client_id=a&client_secret=b", `{"access_token":"x"}`
	for _, tt := range []struct {
		name, request, response string
		status                  int
		bodyError               error
		want                    bool
	}{
		{"credentials in the body", plain, answer, 200, nil, false},
		{"created", plain, answer, 201, nil, false},
		{"refused by the provider", "", "<html>", 401, nil, false},
		{"redirected", "", "", 307, nil, false},
		{"credentials in a header", "grant_type=client_credentials", answer, 200, nil, true},
		{"no secret", "grant_type=client_credentials&client_id=a", answer, 200, nil, true},
		{"empty secret", "grant_type=client_credentials&client_id=a&client_secret=", answer, 200, nil, true},
		{"another grant", "grant_type=password&client_id=a&client_secret=b", answer, 200, nil, true},
		{"two grants", plain + "&grant_type=password", answer, 200, nil, true},
		{"letters that a charset changes", plain + "%C3%A4", answer, 200, nil, true},
		{"json", `{"grant_type":"client_credentials"}`, answer, 200, nil, true},
		{"body that can't be read", "", answer, 200, errors.New("too large"), true},
		{"encoded answer", plain, "\x1f\x8b", 200, nil, true},
		{"empty answer", plain, "", 200, nil, true},
	} {
		x := Exchange{Partial: true, Request: Request{Body: []byte(tt.request), BodyError: tt.bodyError}, Response: Response{Status: tt.status, Body: []byte(tt.response)}}
		if got := x.NeedsDetails(); got != tt.want {
			t.Errorf("%s: NeedsDetails() = %t, want %t", tt.name, got, tt.want)
		}
		if x.Partial = false; x.NeedsDetails() {
			t.Errorf("%s: NeedsDetails() of a whole exchange = true, want false", tt.name)
		}
	}
}

// TestPartialDecidesAlike: details that a decision doesn't need don't change it. A
// caller that forgets NeedsDetails passes nothing that would be refused.
func TestPartialDecidesAlike(t *testing.T) {
	eachOutcome(t, func(t *testing.T, f *fixture, tt outcomeTest) {
		whole := f.run(context.Background())
		f.exchange = partial(f.exchange)
		forgotten := f.run(context.Background())
		if forgotten.Action != Refuse && forgotten.Action != whole.Action {
			t.Errorf("action %s without the question, want refuse or %s", forgotten.Action, whole.Action)
		}
		x := f.complete()
		if x.NeedsDetails() {
			return
		}
		if r := f.enricher().Enrich(context.Background(), x); r.Outcome != whole.Outcome || r.Action != whole.Action || r.Status != whole.Status {
			t.Errorf("outcome %s of a part, want that of the whole, %s", r.Outcome, whole.Outcome)
		}
	})
}

// TestCredentialsInBodyDecide: a part and the whole of a request decide alike, and
// so does every mode, where the body has the client's credentials and another place
// names another client.
func TestCredentialsInBodyDecide(t *testing.T) {
	for _, id := range []string{testClient, "other"} {
		for name, spoil := range map[string]func(*Request){
			"header": func(r *Request) { r.Authorization = basic("third:s") },
			"query":  func(r *Request) { r.Query = "client_id=third" },
		} {
			f := newFixture(t)
			f.exchange.Request.Body = []byte("grant_type=client_credentials&client_secret=s&client_id=" + id)
			spoil(&f.exchange.Request)
			whole := f.run(context.Background()).Outcome
			f.exchange = partial(f.exchange)
			x := f.complete()
			if needs, part := x.NeedsDetails(), f.enricher().Enrich(context.Background(), x).Outcome; needs || part != whole || (whole == Enriched) != (id == testClient) {
				t.Errorf("%s in the body, another in the %s: outcome %s of the whole, %s of a part, needs more: %t", id, name, whole, part, needs)
			}
		}
	}
}

// TestOneRing: the ring that a token's key is compared with also signs, even if the
// key file changes in between.
func TestOneRing(t *testing.T) {
	f := newFixture(t)
	e, asked := f.enricher(), 0
	deps := e.deps
	deps.Ring = func(ctx context.Context) (Ring, error) { asked++; return e.deps.Ring(ctx) }
	if r := e.With(deps).Enrich(context.Background(), f.complete()); r.Outcome != Enriched || asked != 1 {
		t.Errorf("outcome %s, the ring was asked for %d times, want once: %v", r.Outcome, asked, r.Cause)
	}
}
