package enrich

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func compress(t testing.TB, encoding string, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip", "x-gzip", " GZip ":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&out); err != nil {
			t.Fatal(err)
		}
	default:
		return text
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func TestEncodings(t *testing.T) {
	wantOutcomes(t, map[string]Outcome{
		"": Enriched, "identity": Enriched, "gzip": Enriched, "x-gzip": Enriched, " GZip ": Enriched, "deflate": Enriched,
		"br": Enriched, "zstd": Enriched,
		"compress": BadTokenResponse, "gzip, br": BadTokenResponse,
	}, func(f *fixture, encoding string) {
		body := f.complete().Response.Body
		if encoding == "compress" || encoding == "gzip, br" {
			body = append([]byte("\x1f\x9d"), body...)
		}
		f.body = compress(t, encoding, body)
		f.exchange.Response.ContentEncoding = encoding
		if r := f.run(context.Background()); r.Outcome == Enriched && !json.Valid(r.Body) {
			t.Errorf("with %q, the answer isn't plain JSON", encoding)
		}
	})
}

func TestBombs(t *testing.T) {
	bomb := bytes.Repeat([]byte(" "), 4<<20)
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			f := newFixture(t)
			f.body, f.exchange.Response.ContentEncoding = compress(t, encoding, bomb), encoding
			f.want(BadTokenResponse)
		})
	}
}

// TestBombsTakeNoMemory: no more is decompressed than a body may have.
func TestBombsTakeNoMemory(t *testing.T) {
	bomb := compress(t, "gzip", make([]byte, 16<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := inflate(Response{Body: bomb, ContentEncoding: "gzip"}); err == nil {
		t.Error("inflate = nil, want an error")
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 16*maxResponseSize { // a quarter of the bomb
		t.Errorf("%d bytes were allocated, want at most %d", taken, 16*maxResponseSize)
	}
}

func TestBodies(t *testing.T) {
	const token = "TOKEN" // stands for the signed token
	tests := []struct {
		name, body string
		outcome    Outcome
	}{
		{"plain", `{"access_token":"TOKEN"}`, Enriched},
		{"white space", " \n{ \"access_token\" :\t\"TOKEN\" }\n", Enriched},
		{"escaped", `{"access\u005ftoken":"TOKEN"}`, Enriched},
		{"other tokens blank", `{"access_token":"TOKEN","refresh_token":null,"id_token":""}`, Enriched},
		{"unknown members", `{"access_token":"TOKEN","x":{"access_token":"nested"},"n":12345678901234567890}`, Enriched},

		{"nothing", `{}`, NotTokenResponse},
		{"a string", `"x"`, NotTokenResponse},
		{"blank", `{"access_token":null,"refresh_token":""}`, NotTokenResponse},

		{"duplicate", `{"access_token":"TOKEN","access_token":"TOKEN"}`, BadTokenResponse},
		{"duplicate by escape", `{"access_token":"TOKEN","access\u005ftoken":"x"}`, BadTokenResponse},
		{"another case", `{"Access_Token":"TOKEN"}`, BadTokenResponse},
		{"both cases", `{"access_token":"TOKEN","ACCESS_TOKEN":"x"}`, BadTokenResponse},
		{"refresh token in another case", `{"access_token":"TOKEN","Refresh_Token":"x"}`, BadTokenResponse},
		{"broken", `{"access_token":"TOKEN"`, BadTokenResponse},
		{"nesting bomb", `{"access_token":"TOKEN","a":` + strings.Repeat("[", 100_000), BadTokenResponse},
		{"300 KiB", `{"access_token":"TOKEN","a":"` + strings.Repeat("a", 300<<10) + `"}`, BadTokenResponse},
		{"form", "access_token=TOKEN&token_type=bearer", BadTokenResponse},
		{"token is an object", `{"access_token":{"a":"TOKEN"}}`, BadTokenResponse},
		{"only a refresh token", `{"refresh_token":"TOKEN"}`, BadTokenResponse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.body = []byte(strings.Replace(tt.body, token, f.sign(), 1))
			f.want(tt.outcome)
		})
	}
}

// TestByteOrderMark: an answer that begins with one is read, and enriched without it.
func TestByteOrderMark(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		f := newFixture(t)
		f.body, f.exchange.Response.ContentEncoding = compress(t, encoding, []byte("\ufeff {\"access_token\":\""+f.sign()+"\"}\n")), encoding
		if r := f.want(Enriched); !strings.HasPrefix(string(r.Body), ` {"access_token":"`) {
			t.Errorf("got %q, want it without the mark", r.Body)
		}
	}
	for body, want := range map[string]Outcome{
		"\ufeff{}":                         NotTokenResponse,
		"\ufeff[{\"access_token\":\"x\"}]": HiddenToken,
		"\ufeff\ufeff{}":                   BadTokenResponse,
		"{}\ufeff":                         BadTokenResponse,
		"\ufeff":                           BadTokenResponse,
		"\xff\xfe{\x00}\x00":               BadTokenResponse,
	} {
		f := newFixture(t)
		f.body = []byte(body)
		f.want(want)
	}
}

func TestPreflight(t *testing.T) {
	f := newFixture(t)
	f.exchange.Request = Request{Method: "OPTIONS"}
	f.exchange.Response = Response{Status: 204, Body: []byte{}}
	f.want(NotTokenResponse)
}

// TestResponseKeepsItsBytes: everything except the token stays as it was written.
func TestResponseKeepsItsBytes(t *testing.T) {
	f := newFixture(t)
	const before = " { \"scope\" : \"read\", \"n\":12345678901234567890.10e2,\r\n\t\"access_token\":\"TOKEN\" ,\"expires_in\": 86399.0, \"x\":\"\\u00e9é\\/\" } \n"
	f.body = []byte(strings.Replace(before, "TOKEN", f.sign(), 1))
	r := f.run(context.Background())
	token := accessToken(t, r)
	if got := strings.Replace(string(r.Body), token, "TOKEN", 1); got != before {
		t.Errorf("got  %q\nwant %q", got, before)
	}
	payload(t, f.ring, token)
}

// TestOtherTokens: an enriched answer lacks the tokens beside the access token and
// what describes them. Everything else keeps its bytes and its order.
func TestOtherTokens(t *testing.T) {
	const both = "{ \"id_token\" : \"I\",\n\t\"access_token\":\"TOKEN\" , \"refresh_token\":\"R\", \"refresh_expires_in\":1800,\"x\":1.0,\"refresh_token_expires_in\": 5 } \n"
	const blanks = `{"access_token":"TOKEN","refresh_expires_in":0,"refresh_token":"","id_token":null,"not-before-policy":0}`
	for _, tt := range []struct {
		name, policy, before, after string
		dropped                     []string
	}{
		{"unset drops both", "", both, "{ \"access_token\":\"TOKEN\",\"x\":1.0 } \n", []string{"id_token", "refresh_token", "refresh_expires_in", "refresh_token_expires_in"}},
		{"drop, ID token alone", "drop", `{"access_token":"TOKEN","id_token":"I","refresh_expires_in":0}`, `{"access_token":"TOKEN","refresh_expires_in":0}`, []string{"id_token"}},
		{"drop, an escaped name", "drop", `{"access_token":"TOKEN","refresh\u005ftoken":{}}`, `{"access_token":"TOKEN"}`, []string{"refresh_token"}},
		{"drop, below the top", "drop", `{"access_token":"TOKEN","a":{"id_token":"I"},"b":{"c":1}}`, `{"access_token":"TOKEN","b":{"c":1}}`, []string{"a"}},
		{"drop, in a list", "drop", `{"access_token":"TOKEN","a":[["x",{"access_token":"T"}]]}`, `{"access_token":"TOKEN"}`, []string{"a"}},
		{"drop, another spelling", "drop", `{"accessToken":"T","access_token":"TOKEN","refreshToken":"R","x":1}`, `{"access_token":"TOKEN","x":1}`, []string{"accessToken", "refreshToken"}},
		{"drop, a JWT under any name", "drop", `{"token":"eyJhbGciOiJub25lIn0.e30.","access_token":"TOKEN"}`, `{"access_token":"TOKEN"}`, []string{"token"}},
		{"drop, JSON in a string", "drop", `{"a":"{\"access_token\":\"T\"}","access_token":"TOKEN"}`, `{"access_token":"TOKEN"}`, []string{"a"}},
		{"keep", "keep", both, both, nil},
		{"keep no other copy", "keep", `{"id_token":"I","accessToken":"T","access_token":"TOKEN","refresh\u005ftoken":"TOKEN","data":{"token":"eyJhbGciOiJub25lIn0.e30."}}`, `{"id_token":"I","access_token":"TOKEN"}`, []string{"accessToken", "refresh_token", "data"}},
		{"blank members are no tokens", "drop", blanks, blanks, nil},
		{"blank members aren't refused", "refuse", blanks, blanks, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if tt.policy != "" {
				f.set("", "other_tokens", tt.policy)
			}
			f.body = []byte(strings.ReplaceAll(tt.before, "TOKEN", f.sign()))
			r := f.want(Enriched)
			token := accessToken(t, r)
			payload(t, f.ring, token)
			if got := strings.Replace(string(r.Body), token, "TOKEN", 1); got != tt.after || !slices.Equal(r.Dropped, tt.dropped) {
				t.Errorf("got  %q without %v\nwant %q without %v", got, r.Dropped, tt.after, tt.dropped)
			}
		})
	}
}

// TestOtherTokensPass: an answer that passes keeps them, whatever its outcome.
func TestOtherTokensPass(t *testing.T) {
	for name, spoil := range map[string]func(*fixture){
		"management audience": func(f *fixture) { f.claims["aud"] = testManagement },
		"observe":             func(f *fixture) { f.set("", "mode", "observe") },
		"failure policy":      func(f *fixture) { f.set("", "failure_policy", "continue"); f.records = memory{} },
	} {
		f := newFixture(t)
		f.response["refresh_token"] = "r"
		spoil(f)
		if r := f.run(context.Background()); r.Action != Pass || r.Body != nil {
			t.Errorf("%s: action %s with body %q, want pass", name, r.Action, r.Body)
		}
	}
}

func between(t testing.TB, text []byte, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(text), from)
	if !ok {
		t.Fatalf("no %s in %s", from, text)
	}
	found, _, _ := strings.Cut(rest, to)
	return found
}

func TestExpiresIn(t *testing.T) {
	for _, tt := range []struct {
		name, present string
		maxTTL        int
		want          string
	}{
		{"unset", `86399`, 0, `86399`},
		{"shortened", `86399`, 600, `600`},
		{"shortened string", `"86399"`, 600, `"600"`},
		{"never lengthened", `300`, 600, `300`},
		{"longer than the token lives", `86399`, 100_000, `86399`},
		{"unreadable", `"soon"`, 600, `"600"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if tt.maxTTL > 0 {
				f.set("signing", "max_ttl", tt.maxTTL)
			}
			f.body = fmt.Appendf(nil, `{"access_token":%q,"expires_in":%s,"end":0}`, f.sign(), tt.present)
			r := f.run(context.Background())
			if got := between(t, r.Body, `"expires_in":`, `,"end"`); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
