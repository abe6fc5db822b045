package reuse

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// request returns a request whose answer may be given again.
func request() Request {
	return Request{
		ID:              "8a7f",
		Route:           "570aa1c6-3d91-5adc-806c-112d36e3ff7e",
		Line:            "POST /oauth2/token HTTP/1.1",
		Host:            "auth.example.com",
		ContentType:     "application/x-www-form-urlencoded",
		ContentEncoding: "identity",
		Authorization:   "Basic YXBwOnNlY3JldA==",
		Cookie:          "a=b",
		Vary:            []string{"eu", "1"},
		Body:            []byte("grant_type=client_credentials&audience=https://api.example.com"),
	}
}

// TestKeyCoversEveryField: whatever could change the provider's answer makes another
// key. Kong's id of the request could not.
func TestKeyCoversEveryField(t *testing.T) {
	a := newAuthenticator(randomSecret())
	var identity, other [sha256.Size]byte
	other[31] = 1
	q := request()
	want := a.request(&identity, &q)
	if got := a.request(&identity, &q); got != want {
		t.Errorf("the same request: got another key")
	}
	if a.request(&other, &q) == want {
		t.Errorf("another configuration: got the same key")
	}
	if newAuthenticator(randomSecret()).request(&identity, &q) == want {
		t.Errorf("another process: got the same key")
	}
	for field := range reflect.TypeFor[Request]().Fields() {
		q := request()
		switch value := reflect.ValueOf(&q).Elem().FieldByIndex(field.Index); field.Type.Kind() {
		case reflect.String:
			value.SetString(value.String() + "x")
		case reflect.Slice:
			if field.Type.Elem().Kind() == reflect.Uint8 {
				value.SetBytes(append(value.Bytes(), 'x'))
			} else {
				q.Vary = append(q.Vary, "")
			}
		case reflect.Bool:
			continue // decides whether there is a key at all
		default:
			t.Fatalf("the field %s has a kind that this test doesn't know", field.Name)
		}
		if got := a.request(&identity, &q) != want; got != (field.Name != "ID") {
			t.Errorf("%s changed: got another key %t, want %t", field.Name, got, field.Name != "ID")
		}
	}
}

// TestKeyOfNeighbours: one byte, the letter case, the order and the place of a text
// count.
func TestKeyOfNeighbours(t *testing.T) {
	a := newAuthenticator(randomSecret())
	var identity [sha256.Size]byte
	seen := map[key]string{}
	for name, change := range map[string]func(*Request){
		"as it is":               func(*Request) {},
		"another secret":         func(q *Request) { q.Authorization = "Basic YXBwOnNlY3JldQ==" },
		"another case":           func(q *Request) { q.Body = bytes.Replace(q.Body, []byte("grant"), []byte("Grant"), 1) },
		"another order":          func(q *Request) { q.Body = []byte("audience=https://api.example.com&grant_type=client_credentials") },
		"a space":                func(q *Request) { q.Body = append(q.Body, ' ') },
		"a NUL":                  func(q *Request) { q.Body = append(q.Body, 0) },
		"another host":           func(q *Request) { q.Host = "auth.example.com:8443" },
		"another route":          func(q *Request) { q.Route = "d0ab32c8-4170-5923-912d-42ce5868835d" },
		"a query":                func(q *Request) { q.Line = "POST /oauth2/token?scope=a HTTP/1.1" },
		"the cookie elsewhere":   func(q *Request) { q.Authorization, q.Cookie = q.Authorization+q.Cookie, "" },
		"the headers swapped":    func(q *Request) { q.Authorization, q.Cookie = q.Cookie, q.Authorization },
		"vary swapped":           func(q *Request) { slices.Reverse(q.Vary) },
		"vary joined":            func(q *Request) { q.Vary = []string{"eu1"} },
		"vary split":             func(q *Request) { q.Vary = []string{"eu", "1", ""} },
		"vary moved":             func(q *Request) { q.Vary = []string{"e", "u1"} },
		"no vary":                func(q *Request) { q.Vary = nil },
		"Basic as body":          func(q *Request) { q.Body = append(q.Body, q.Authorization...); q.Authorization = "" },
		"the encoding elsewhere": func(q *Request) { q.ContentType, q.ContentEncoding = q.ContentType+q.ContentEncoding, "" },
	} {
		q := request()
		change(&q)
		k := a.request(&identity, &q)
		if other, ok := seen[k]; ok {
			t.Errorf("%s: got the same key as %s", name, other)
		}
		seen[k] = name
	}
}

// FuzzKey: two requests have the same bytes only if they are the same.
func FuzzKey(f *testing.F) {
	f.Add("POST / HTTP/1.1", "h", "a", "c", "v", "b", "POST / HTTP/1.1", "ha", "", "c", "v", "b")
	f.Add("", "", "", "", "", "\x00\x00\x00\x00\x00\x00\x00\x01a", "", "", "", "", "\x00\x00\x00\x00\x00\x00\x00\x01", "a")
	f.Fuzz(func(t *testing.T, line, host, auth, cookie, vary, body, line2, host2, auth2, cookie2, vary2, body2 string) {
		of := func(line, host, auth, cookie, vary, body string) Request {
			return Request{Line: line, Host: host, Authorization: auth, Cookie: cookie, Vary: strings.Split(vary, ","), Body: []byte(body)}
		}
		var identity [sha256.Size]byte
		q, q2 := of(line, host, auth, cookie, vary, body), of(line2, host2, auth2, cookie2, vary2, body2)
		same := bytes.Equal(appendRequest(nil, &identity, &q), appendRequest(nil, &identity, &q2))
		if want := reflect.DeepEqual(q, q2); same != want {
			t.Errorf("the same bytes: got %t, want %t\n%+v\n%+v", same, want, q, q2)
		}
	})
}

// TestEligible: only a small POST whose body Kong has in memory, without a header that
// binds the token to its sender.
func TestEligible(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Request)
		want   bool
	}{
		"as it is":     {func(*Request) {}, true},
		"8192 bytes":   {func(q *Request) { q.Body = make([]byte, 8192) }, true},
		"8193 bytes":   {func(q *Request) { q.Body = make([]byte, 8193) }, false},
		"no body":      {func(q *Request) { q.Body = nil }, false},
		"an empty one": {func(q *Request) { q.Body = []byte{} }, false},
		"bypass":       {func(q *Request) { q.Bypass = true }, false},
		"GET":          {func(q *Request) { q.Line = "GET / HTTP/1.1" }, false},
		"post":         {func(q *Request) { q.Line = "post / HTTP/1.1" }, false},
		"POSTS":        {func(q *Request) { q.Line = "POSTS / HTTP/1.1" }, false},
		"no line":      {func(q *Request) { q.Line = "" }, false},
		"no id":        {func(q *Request) { q.ID = "" }, false},
		"no route":     {func(q *Request) { q.Route = "" }, false},
	} {
		q := request()
		test.change(&q)
		if got := q.eligible(); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}

// TestCredentialsOfPhases: what the response phase sees is the same only if both texts
// are.
func TestCredentialsOfPhases(t *testing.T) {
	a := newAuthenticator(randomSecret())
	seen := map[key]string{}
	for _, texts := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"ab", "d"}, {"ab", "c\x00"}} {
		k := a.credentials(texts[0], []byte(texts[1]))
		if other, ok := seen[k]; ok {
			t.Errorf("%q: got the same key as %s", texts, other)
		}
		seen[k] = fmt.Sprintf("%q", texts)
	}
}

// TestScratchForgets: nothing of a request stays in the memory of an authenticator.
func TestScratchForgets(t *testing.T) {
	a := newAuthenticator(randomSecret())
	s := &scratch{mac: a.pool.New().(*scratch).mac}
	q := request()
	var identity [sha256.Size]byte
	s.text = appendRequest(s.text, &identity, &q)
	s.key()
	if text := s.text[:cap(s.text)]; len(bytes.Trim(text, "\x00")) > 0 {
		t.Errorf("got %q after the key was computed, want zeros", text)
	}
}
