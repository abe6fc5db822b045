package enrich

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// FuzzResponse: whatever the provider answers, only a verified token's claims are
// signed, and everything except the tokens keeps its bytes.
func FuzzResponse(f *testing.F) {
	signed := newFixture(f).sign()
	for _, seed := range []string{
		`{"access_token":"TOKEN","expires_in":86399}`, ` {"a":"\u00e9", "access_token" : "TOKEN"} `, `{"refresh_token":"x","access_token":"TOKEN"}`,
		`{"access_token":"x.y.z"}`, `["TOKEN"]`, `{"access_token":null}`, `{"access\u005ftoken":"TOKEN"}`, ``, `{`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(strings.Replace(seed, "TOKEN", signed, 1)), "")
	}
	f.Add([]byte("\ufeff{\"access_token\":\""+signed+"\"}"), "")
	f.Add([]byte("\x1f\x8b"), "gzip")
	fx := newFixture(f)
	e := fx.enricher()
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		x := fx.exchange
		x.Response.Body, x.Response.ContentEncoding = body, encoding
		before := bytes.Clone(body)
		r := e.Enrich(context.Background(), x)
		if !bytes.Equal(before, body) {
			t.Fatal("the provider's body was modified")
		}
		if (r.Outcome == Enriched) != (r.Action == Replace) {
			t.Fatalf("outcome %s with action %s", r.Outcome, r.Action)
		}
		if r.Action != Replace {
			return
		}
		text, err := inflate(x.Response)
		must(t, err)
		sameButTokens(t, signed, schema.WithoutMark(text), r)
	})
}

// sameButTokens fails unless the body before differs from that of r in the access
// token and in dropped members alone, and the old access token is the one that
// the provider signed.
func sameButTokens(t *testing.T, signed string, before []byte, r Result) {
	old, err := splice.Parse(before)
	must(t, err)
	left, err := splice.Parse(old.Cut(r.Dropped...))
	must(t, err)
	now, err := splice.Parse(r.Body)
	must(t, err)
	placeholder := splice.Member{Name: "access_token", Value: []byte("0")}
	if !bytes.Equal(left.With(placeholder), now.With(placeholder)) {
		t.Fatalf("before %q\nafter  %q", before, r.Body)
	}
	if !blank(now.Get("id_token")) || !blank(now.Get("refresh_token")) {
		t.Fatalf("another token is left in %q", r.Body)
	}
	token, _ := splice.Text(now.Get("access_token"))
	raw, _ := splice.Text(old.Get("access_token"))
	if raw != signed {
		t.Fatal("a token was enriched that the provider didn't sign")
	}
	payload(t, gatewayRing(), token)
}

// FuzzToken: whatever the token, nothing unverified is ever signed.
func FuzzToken(f *testing.F) {
	fx := newFixture(f)
	signed := fx.sign()
	parts := strings.Split(signed, ".")
	f.Add(signed)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add("eyJhbGciOiJub25lIn0." + parts[1] + ".")
	f.Add(parts[0] + "." + parts[1] + "." + parts[2] + "=")
	f.Add(signed + ".")
	f.Add("\n" + signed)
	e := fx.enricher()
	f.Fuzz(func(t *testing.T, token string) {
		x := fx.exchange
		body, err := json.Marshal(map[string]string{"access_token": token})
		if err != nil {
			t.Skip()
		}
		x.Response.Body = body
		r := e.Enrich(context.Background(), x)
		if r.Action == Replace && token != signed {
			t.Fatalf("signed a token that the provider didn't: %q", token)
		}
		if token == signed && r.Outcome != Enriched {
			t.Fatalf("outcome %s, want %s: %v", r.Outcome, Enriched, r.Cause)
		}
	})
}

// FuzzRequest: a token is enriched only if every reader of the request agrees
// that it asks for client_credentials.
func FuzzRequest(f *testing.F) {
	fx := newFixture(f)
	signed := fx.sign()
	f.Add(form, "", fx.exchange.Request.Body, "")
	f.Add(jsonType, "", []byte(`{"grant_type":"client_credentials"}`), "")
	f.Add(form+"; charset=gbk", "p=a;b", []byte("grant_type=client_credentials&client_secret=ab;cd"), "Basic OnM=")
	f.Add(jsonType+"; charset=", "", []byte(`{"grant_type":"client_credentials","client_secret":"a&b%c","client_id":null}`), "")
	f.Add(form, "grant_type=x", []byte("grant_type=client_credentials"), "Basic Og==")
	f.Add("multipart/form-data; boundary=x", "", []byte("--x"), "")
	e := fx.enricher()
	body, err := json.Marshal(map[string]string{"access_token": signed})
	must(f, err)
	f.Fuzz(func(t *testing.T, contentType, query string, request []byte, authorization string) {
		x := fx.exchange
		x.Request = Request{Method: "POST", ContentType: contentType, Query: query, Body: request, Authorization: authorization}
		x.Response.Body = body
		r := e.Enrich(context.Background(), x)
		if r.Action != Replace {
			return
		}
		found := goReaders(t, []string{string(request)})[0]
		for reader, grants := range found {
			if len(grants) != 1 || grants[0] != m2mGrant {
				t.Fatalf("enriched, but %s finds the grants %q", reader, grants)
			}
		}
		if len(found) == 0 {
			t.Fatal("enriched, but no reader finds a grant")
		}
	})
}

// FuzzHiddenToken: a token is found at whatever depth, and under whatever
// spelling of its name.
func FuzzHiddenToken(f *testing.F) {
	f.Add([]byte("aAa_s"), "access_token")
	f.Add([]byte(""), "idToken")
	f.Add([]byte("saos"), "x")
	fx := newFixture(f)
	signed := fx.sign()
	e := fx.enricher()
	f.Fuzz(func(t *testing.T, way []byte, name string) {
		if len(way) > 12 || !utf8.ValidString(name) {
			return
		}
		for _, token := range []string{signed, "opaque"} {
			value := any(map[string]any{name: token, "other": 1})
			for _, step := range way {
				value = deeper(t, step, value)
			}
			body, err := json.Marshal(value)
			must(t, err)
			x := fx.exchange
			x.Response.Body = body
			r := e.Enrich(context.Background(), x)
			named := slices.ContainsFunc(tokenMembers, func(m string) bool { return strings.EqualFold(letters(m), letters(name)) })
			if (token == signed || named) && r.Action == Pass {
				t.Fatalf("%.200s passes as %s", body, r.Outcome)
			}
		}
	})
}

// deeper returns value in an array, an object or a string.
func deeper(t *testing.T, step byte, value any) any {
	switch step % 3 {
	case 0:
		return []any{nil, value}
	case 1:
		return map[string]any{"a": value, "token_type": "bearer"}
	}
	text, err := json.Marshal(value)
	must(t, err)
	return string(text)
}
