package main

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// checked is a soak of two applications whose gateway signs by sign.
func checked(t *testing.T) (s *soak, sign func(claims map[string]any) string) {
	t.Helper()
	ids := append(measure.ApplicationIDs(2), unknownClient)
	s = &soak{options: options{applications: 2}}
	var err error
	if s.provider, err = measure.StartProvider("EdDSA", ids); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.provider.Close)
	if err := s.expect(ids); err != nil {
		t.Fatal(err)
	}
	signer, err := idptest.Start(stage.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(signer.Close)
	s.keys = stage.NewKeys(signer.JWKSURI())
	return s, func(claims map[string]any) string {
		token, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// TestCheck: a soak that overlooks a wrong answer says nothing.
func TestCheck(t *testing.T) {
	s, sign := checked(t)
	id, other := measure.ApplicationID(0), measure.ApplicationID(1)
	token := func(of string, changes ...string) string {
		claims := maps.Clone(s.expected[of])
		claims["generation"] = "3"
		for i := 0; i < len(changes); i += 2 {
			claims[changes[i]] = changes[i+1]
		}
		return fmt.Sprintf(`{"access_token":%q}`, sign(claims))
	}
	refusal := func(status int, code, outcome string) error {
		return &measure.Refusal{Status: status, Body: fmt.Appendf(nil, `{"error":%q,"error_description":"%s (request 1)"}`, code, outcome)}
	}
	lookup := refusal(503, "temporarily_unavailable", "lookup_unavailable")
	unknown := refusal(400, "unauthorized_client", "unknown_application")
	for _, tt := range []struct {
		name, id, body string
		err            error
		right          bool
	}{
		{"its own token", id, token(id), nil, true},
		{"another one's token", id, token(other), nil, false},
		{"another organization", id, token(id, "org_code", measure.Organization(1)), nil, false},
		{"another name", id, token(id, "org_name", "x"), nil, false},
		{"one claim too many", id, token(id, "x", "y"), nil, false},
		{"another issuer", id, token(id, "iss", "https://x.example.com"), nil, false},
		{"an older generation", id, token(id, "generation", "1"), nil, false},
		{"one that isn't offered", id, token(id, "generation", "4"), nil, false},
		{"the provider's", id, s.provider.Body(id), nil, false},
		{"no token", id, `{}`, nil, false},
		{"no JSON", id, `x`, nil, false},
		{"a refusal of a known one", id, "", unknown, false},
		{"a connection that ends", id, "", errors.New("EOF"), false},
		{"management", measure.ManagementClient, s.provider.Body(measure.ManagementClient), nil, true},
		{"management, changed", measure.ManagementClient, s.provider.Body(measure.ManagementClient) + " ", nil, false},
		{"management, refused", measure.ManagementClient, "", lookup, false},
		{"no record", unknownClient, "", unknown, true},
		{"no record, another outcome", unknownClient, "", refusal(400, "unauthorized_client", "invalid_record"), false},
		{"no record, another status", unknownClient, "", refusal(403, "unauthorized_client", "unknown_application"), false},
		{"no record, but a token", unknownClient, token(unknownClient), nil, false},
	} {
		err := s.check(t.Context(), exchange{id: tt.id, body: []byte(tt.body), err: tt.err, first: 2, last: 3})
		if (err == nil) != tt.right || errors.Is(err, errLookup) {
			t.Errorf("%s: got %v, want it right: %t", tt.name, err, tt.right)
		}
	}
	for _, id := range []string{id, unknownClient} {
		if err := s.check(t.Context(), exchange{id: id, err: lookup}); !errors.Is(err, errLookup) {
			t.Errorf("%s, without Redis: %v", id, err)
		}
	}
}

// TestMayMiss: a generation that has served an application has cached it.
func TestMayMiss(t *testing.T) {
	s, sign := checked(t)
	id := measure.ApplicationID(0)
	if x := (exchange{first: 3, last: 3, before: s.servedBy(id)}); !x.mayMiss() {
		t.Error("nothing was served yet")
	}
	claims := maps.Clone(s.expected[id])
	claims["generation"] = "3"
	body := fmt.Appendf(nil, `{"access_token":%q}`, sign(claims))
	if err := s.check(t.Context(), exchange{id: id, body: body, first: 3, last: 3}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		first, last int64
		want        bool
	}{{3, 3, false}, {3, 4, true}, {4, 4, true}} {
		if got := (exchange{first: tt.first, last: tt.last, before: s.servedBy(id)}).mayMiss(); got != tt.want {
			t.Errorf("mayMiss() from %d to %d = %t, want %t", tt.first, tt.last, got, tt.want)
		}
	}
}

func TestOutageTouches(t *testing.T) {
	begun := time.Unix(1_800_000_000, 0)
	at := func(s float64) time.Time { return begun.Add(time.Duration(s * float64(time.Second))) }
	var never outage
	if never.touches(at(0), at(1)) {
		t.Error("there was none")
	}
	lasting, past := outage{begun: begun}, outage{begun: begun, end: at(3)}
	for _, tt := range []struct {
		from, to      float64
		lasting, past bool
	}{{-2, -1, false, false}, {-1, 1, true, true}, {1, 2, true, true}, {4.9, 5.1, true, true}, {5.1, 5.2, true, false}} {
		if lasting.touches(at(tt.from), at(tt.to)) != tt.lasting || past.touches(at(tt.from), at(tt.to)) != tt.past {
			t.Errorf("touches() from %v s to %v s, want %t and %t", tt.from, tt.to, tt.lasting, tt.past)
		}
	}
}
