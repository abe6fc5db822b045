package enrich

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestHeldForm: an answer that another gateway reads is the same answer.
func TestHeldForm(t *testing.T) {
	f := newFixture(t)
	f.claims["note"] = "\u2028é"
	e, h := f.held()
	text, err := json.Marshal(h)
	must(t, err)
	var restored Held
	must(t, json.Unmarshal(text, &restored))
	if !restored.Signed.Equal(h.Signed) || !restored.Expires.Equal(h.Expires) || restored.Size() != h.Size() {
		t.Errorf("got %v, %v and %d bytes, want %v, %v and %d", restored.Signed, restored.Expires, restored.Size(), h.Signed, h.Expires, h.Size())
	}
	at := testNow.Add(90 * time.Second)
	want, err := e.Again(context.Background(), h, "", at)
	must(t, err)
	got, err := e.Again(context.Background(), &restored, "", at)
	must(t, err)
	if !bytes.Equal(got.Body, want.Body) || !reflect.DeepEqual(got.Issued(), want.Issued()) {
		t.Errorf("got %s with %+v, want %s with %+v", got.Body, got.Issued(), want.Body, want.Issued())
	}
}

// TestHeldFormStrict: what isn't exactly the form is an error, which shows nothing.
func TestHeldFormStrict(t *testing.T) {
	_, h := newFixture(t).held()
	good, err := json.Marshal(h)
	must(t, err)
	for name, text := range map[string]string{
		"nothing":               ``,
		"null":                  `null`,
		"empty object":          `{}`,
		"list":                  `[]`,
		"a part":                string(good[:len(good)/2]),
		"two":                   string(good) + string(good),
		"more":                  strings.Replace(string(good), `{`, `{"typ":"x",`, 1),
		"twice":                 strings.Replace(string(good), `{`, `{"kid":"x",`, 1),
		"another case":          strings.Replace(string(good), `"kid"`, `"KID"`, 1),
		"no key":                strings.Replace(string(good), h.KeyID, ``, 1),
		"no client":             strings.Replace(string(good), testClient, ``, 1),
		"a client with a break": strings.Replace(string(good), testClient, `a\nb`, 1),
		"times as text":         strings.Replace(string(good), `"signed":`, `"signed":"a","x":`, 1),
		"body that isn't JSON":  strings.Replace(string(good), `"body":"`, `"body":"AAAA`, 1),
		"claims aren't JSON":    strings.Replace(string(good), `"payload":"`, `"payload":"AAAA`, 1),
		"value isn't JSON":      strings.Replace(string(good), `"value":"`, `"value":"AAAA`, 1),
		"not base64":            strings.Replace(string(good), `"body":"`, `"body":"*`, 1),
		"too large":             strings.Replace(string(good), `{`, `{`+strings.Repeat(" ", maxHeldForm), 1),
	} {
		restored := Held{ClientID: "before"}
		err := restored.UnmarshalJSON([]byte(text))
		if err == nil || restored.ClientID != "before" {
			t.Errorf("%s: got %v, want an error and no change", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "ey") || strings.Contains(err.Error(), testClient)) {
			t.Errorf("%s: the error shows a part: %v", name, err)
		}
	}
}

// FuzzHeldForm: a form is an error or an answer. The answer has the same form again,
// and what is made of it is JSON that doesn't live longer.
func FuzzHeldForm(f *testing.F) {
	fx := newFixture(f)
	e, h := fx.held()
	good, err := json.Marshal(h)
	must(f, err)
	f.Add(good, int64(0))
	f.Add([]byte(`{"client_id":"a","kid":"k","signed":-9223372036854775808,"expires":9223372036854775807,"body":"e30=","payload":"e30=","added":[]}`), int64(1)<<62)
	f.Fuzz(func(t *testing.T, text []byte, age int64) {
		var one, other Held
		if one.UnmarshalJSON(text) != nil {
			return
		}
		again, err := one.MarshalJSON()
		must(t, err)
		must(t, other.UnmarshalJSON(again))
		if !bytes.Equal(one.Body, other.Body) || !one.Expires.Equal(other.Expires) || one.Size() > 8*maxHeldSize {
			t.Fatalf("got %d bytes until %v, want %d until %v", len(other.Body), other.Expires, len(one.Body), one.Expires)
		}
		now := one.Signed.Add(time.Duration(age))
		if r, err := e.Again(context.Background(), &one, "", now); err == nil && !json.Valid(r.Body) {
			t.Fatalf("the answer isn't JSON: %s", r.Body)
		}
		if body, err := one.bodyAt(now); err != nil || !json.Valid(body) {
			t.Fatalf("the answer isn't JSON: %s", body)
		}
	})
}
