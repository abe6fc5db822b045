package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"

	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// unknownClient is known to the provider, but has no record.
const unknownClient = "0f6ac7a1d2b24f0b8e1a2c3d4e5f6071"

// clientOf is the client that asks in a turn: the applications one after the
// other, and once in twenty turns each the client of the management API and the
// one without a record.
func (s *soak) clientOf(turn int64) string {
	switch turn % 20 {
	case 7:
		return measure.ManagementClient
	case 13:
		return unknownClient
	}
	return measure.ApplicationID(int(turn+turn/20) % s.applications) // or some would never ask
}

// expect notes the claims that the tokens of ids must have beside the generation:
// exactly the provider's and the organization's.
func (s *soak) expect(ids []string) error {
	s.expected, s.served = map[string]map[string]any{}, map[string]*atomic.Int64{}
	for i, id := range ids {
		claims, err := claimsOf(s.provider.Tokens[id])
		if err != nil {
			return err
		}
		claims["org_code"], claims["org_name"] = measure.Organization(i), measure.OrganizationName(i)
		s.expected[id], s.served[id] = claims, &atomic.Int64{}
		s.served[id].Store(none)
	}
	return nil
}

// claimsOf doesn't verify: the token is the provider's own.
func claimsOf(token string) (claims map[string]any, err error) {
	_, text, err := stage.Unverified(token)
	if err != nil {
		return nil, err
	}
	return claims, json.Unmarshal(text, &claims)
}

// exchange is one request and its answer.
type exchange struct {
	id          string
	body        []byte
	err         error // of the request; a *measure.Refusal if the status isn't 200
	first, last int64 // the generations that may have served it
	before      int64 // the generation that served the application last
}

// none is no generation.
const none = -1

// mayMiss reports whether the plugin needs Redis for x. A generation that has
// served an application keeps its records in the cache until the next one.
func (x exchange) mayMiss() bool { return x.first != x.last || x.before != x.first }

// servedBy is the generation that has served the application called id last.
func (s *soak) servedBy(id string) int64 {
	if last := s.served[id]; last != nil {
		return last.Load()
	}
	return none
}

// check returns what is wrong with an answer. For a refusal because Redis doesn't
// answer, this is errLookup at any time.
func (s *soak) check(ctx context.Context, x exchange) error {
	var refusal *measure.Refusal
	switch {
	case errors.As(x.err, &refusal):
		return checkRefusal(x.id, refusal)
	case x.err != nil:
		return x.err
	case x.id == unknownClient:
		return errors.New("a client without a record got a token")
	case x.id == measure.ManagementClient:
		if string(x.body) != s.provider.Body(x.id) {
			return errors.New("the answer for the management API isn't the provider's")
		}
		return nil
	}
	return s.checkToken(ctx, x)
}

// errLookup is a refusal because Redis doesn't answer.
var errLookup = errors.New("refused: Redis doesn't answer")

func checkRefusal(id string, r *measure.Refusal) error {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(r.Body, &body) // no JSON, no error
	outcome, _, _ := strings.Cut(body.Description, " ")
	switch {
	case id != measure.ManagementClient && r.Status == http.StatusServiceUnavailable &&
		body.Error == "temporarily_unavailable" && outcome == "lookup_unavailable":
		return errLookup
	case id == unknownClient && r.Status == http.StatusBadRequest &&
		body.Error == "unauthorized_client" && outcome == "unknown_application":
		return nil
	}
	return fmt.Errorf("refused: %w", r)
}

// checkToken checks an enriched token as an API does, and every claim of it.
func (s *soak) checkToken(ctx context.Context, x exchange) error {
	token, err := stage.AccessToken(x.body)
	if err != nil {
		return err
	}
	if token == s.provider.Tokens[x.id] {
		return errors.New("the provider's own token came through")
	}
	claims, err := s.keys.Verify(ctx, stage.Issuer, token)
	if err != nil {
		return fmt.Errorf("the token doesn't verify: %w", err)
	}
	text, _ := claims["generation"].(string)
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil || generation < x.first || generation > x.last {
		return fmt.Errorf("got generation %q, want one from %d to %d", text, x.first, x.last)
	}
	s.served[x.id].Store(generation)
	s.tally.tokens.Add(1)
	want := maps.Clone(s.expected[x.id])
	want["generation"] = text
	if !reflect.DeepEqual(claims, want) {
		return fmt.Errorf("got the claims %v, want %v", claims, want)
	}
	return nil
}
