package jws_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// A verifier accepts the tokens of one issuer, by the keys that the issuer
// publishes. Here a ring of the test's own is the issuer's key.
func ExampleVerifier() {
	text, err := jws.Generate("ec")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ring.PublicSet()) }))
	defer server.Close()

	const issuer = "https://example.kinde.com"
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	keys := jws.NewProvider(issuer, server.URL, nil, now)
	defer keys.Close()
	verifier := jws.NewVerifier(issuer, []string{"ES256"}, time.Minute, keys, now)

	for _, payload := range []string{
		`{"iss":"https://example.kinde.com","exp":1800003600,"azp":"app-1"}`,
		`{"iss":"https://example.kinde.com","exp":1799996400,"azp":"app-1"}`,
		`{"iss":"https://elsewhere.example","exp":1800003600,"azp":"app-1"}`,
	} {
		token, err := ring.Sign(context.Background(), []byte(`"at+jwt"`), []byte(payload))
		if err != nil {
			log.Fatal(err)
		}
		verified, err := verifier.Verify(context.Background(), token)
		switch {
		case errors.Is(err, jws.ErrUntrusted):
			fmt.Println(err)
		case err != nil: // the keys can't be fetched, or it is no JWT
			log.Fatal(err)
		default:
			azp, _ := verified.Claims.Text("azp")
			fmt.Println("verified:", azp)
		}
	}
	// Output:
	// verified: app-1
	// untrusted token: token is expired
	// untrusted token: token has invalid issuer
}
