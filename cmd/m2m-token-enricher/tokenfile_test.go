package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// jwtOf returns a token whose only content is name. Nobody signed it.
func jwtOf(name string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(`{"jti":"`+name+`"}`)) + "." + part([]byte("signature of "+name))
}

// utf16Of returns text in UTF-16 with a byte order mark, low bytes first or not.
func utf16Of(text string, littleEndian bool) string {
	var out []byte
	for _, unit := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		low, high := byte(unit), byte(unit>>8)
		if !littleEndian {
			low, high = high, low
		}
		out = append(out, low, high)
	}
	return string(out)
}

// TestTokenFiles: the token is found in whatever people save.
func TestTokenFiles(t *testing.T) {
	a := jwtOf("access")
	encrypted := a + ".x.y"
	answer := `{"access_token": "` + a + `", "token_type": "Bearer"}`
	for name, tt := range map[string]struct{ text, want string }{
		"token":                          {a, a},
		"white space around it":          {"\r\n " + a + "\t\r\n", a},
		"double quotes":                  {`"` + a + `"` + "\n", a},
		"single quotes":                  {"'" + a + "'", a},
		"scheme":                         {"Bearer " + a, a},
		"scheme in lower case":           {"bearer\t" + a, a},
		"header line":                    {"Authorization: Bearer " + a + "\n", a},
		"headers of a request":           {"POST /x HTTP/1.1\r\nHost: api.example.com\r\nauthorization: Bearer " + a + "\r\n\r\n", a},
		"command":                        {`curl -H "Authorization: Bearer ` + a + `" https://api.example.com`, a},
		"variable":                       {"export TOKEN=" + a + "\n", a},
		"member of an answer":            {`  "access_token": "` + a + `",`, a},
		"form":                           {"access_token=" + a + "&token_type=bearer", a},
		"twice the same":                 {a + "\n\n" + `"` + a + `"`, a},
		"byte order mark":                {"\ufeff" + a, a},
		"UTF-16, little endian":          {utf16Of(a+"\r\n", true), a},
		"UTF-16, big endian":             {utf16Of(`"`+a+`"`, false), a},
		"answer":                         {answer, a},
		"answer in UTF-16":               {utf16Of(answer+"\r\n", true), a},
		"answer with a byte order mark":  {"\ufeff" + answer, a},
		"answer with an ID token":        {`{"id_token":"` + jwtOf("id") + `","refresh_token":"r","access_token":"` + a + `"}`, a},
		"answer of a cloud's command":    {`{"accessToken":"` + a + `","expiresOn":"x"}`, a},
		"HTTP response":                  {"HTTP/1.1 200 OK\r\nSet-Cookie: s=" + jwtOf("cookie") + "\r\n\r\n" + answer, a},
		"HTTP response through a proxy":  {"HTTP/1.1 200 Connection established\n\nHTTP/2 200\nserver: x\n\n" + answer, a},
		"opaque token":                   {"bearer a1~+/_-.b=\n", "a1~+/_-.b="},
		"opaque token in an answer":      {`{"access_token":"a b"}`, "a b"},
		"encrypted token":                {encrypted, encrypted},
		"encrypted token in an answer":   {`{"access_token":"` + encrypted + `"}`, encrypted},
		"token without a signature":      {strings.TrimSuffix(a, a[strings.LastIndex(a, ".")+1:]), a[:strings.LastIndex(a, ".")+1]},
		"escapes in an answer":           {`{"access_token":"` + strings.ReplaceAll(a, ".", `\u002e`) + `"}`, a},
		"answer in the body of a member": {`{"scope":"{\"access_token\":1}","access_token":"` + a + `"}`, a},
	} {
		if got, err := tokenOf(t, tt.text); got != tt.want || err != nil {
			t.Errorf("%s: got %d characters and %v, want the token of %d", name, len(got), err, len(tt.want))
		}
	}
}

// TestTokenFilesAtFault: the error says what is wrong with the file, and shows
// nothing of a token.
func TestTokenFilesAtFault(t *testing.T) {
	a, id := jwtOf("access"), jwtOf("id")
	cut := strings.LastIndex(a, ".")
	for name, tt := range map[string]struct{ text, want string }{
		"empty":                    {"", "is empty"},
		"white space":              {"\ufeff \r\n", "is empty"},
		"empty quotes":             {`""`, "no token"},
		"two tokens":               {a + "\n" + id, "2 tokens"},
		"form with an ID token":    {"access_token=" + a + "&id_token=" + id, "2 tokens"},
		"two answers":              {`{"access_token":"` + a + `"}` + "\n" + `{"access_token":"` + id + `"}`, "more than one JSON value"},
		"two members":              {`{"access_token":"` + a + `","access_token":"` + id + `"}`, "access_token twice"},
		"two spellings":            {`{"access_token":"` + a + `","accessToken":"` + id + `"}`, "access_token twice"},
		"only an ID token":         {`{"id_token":"` + id + `"}`, "no access_token"},
		"deeper":                   {`{"data":{"access_token":"` + a + `"}}`, "no access_token"},
		"list":                     {`["` + a + `"]`, "no access_token"},
		"error":                    {`{"error":"invalid_client","error_description":"` + a + `"}`, "is an error"},
		"no text":                  {`{"access_token":null}`, "isn't a text"},
		"empty member":             {`{"access_token":""}`, "is empty or"},
		"half an answer":           {`{"access_token":"` + a, "incomplete JSON"},
		"no JSON":                  {`{access_token: ` + a + `}`, "incomplete JSON"},
		"header only":              {a[:strings.Index(a, ".")], "cut off"},
		"part of the header":       {a[:9], "cut off"},
		"without the signature":    {a[:cut], "cut off"},
		"ellipsis":                 {a[:9] + "...", "cut off"},
		"ellipsis in an answer":    {`{"access_token":"` + a[:9] + `..."}`, "cut off"},
		"cut in an answer":         {`{"access_token":"` + a[:cut] + `"}`, "cut off"},
		"broken in the header":     {a[:9] + "\n" + a[9:], "cut off"},
		"broken in the claims":     {a[:cut-3] + "\n" + a[cut-3:], "cut off"},
		"broken in the signature":  {a[:cut+3] + "\r\n  " + a[cut+3:], "cut off"},
		"broken by a space":        {a[:cut+3] + " " + a[cut+3:], "cut off"},
		"page":                     {"<html><body>Sign in</body></html>", "no token"},
		"several words":            {"the token is secret1", "no token"},
		"response without a body":  {"HTTP/1.1 200 OK\r\nSet-Cookie: s=" + a + "\r\n\r\n", "no body"},
		"response without its end": {"HTTP/1.1 200 OK\r\nSet-Cookie: s=" + a, "no body"},
		"UTF-16 without a mark":    {utf16Of(a, true)[2:], "isn't text"},
		"half a character":         {utf16Of(a, true) + "x", "isn't text"},
		"large":                    {strings.Repeat("a", 1<<20+1), "larger than"},
	} {
		got, err := tokenOf(t, tt.text)
		if err == nil || got != "" || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "token.txt") {
			t.Errorf("%s: got %d characters and %v, want an error with token.txt and %q", name, len(got), err, tt.want)
			continue
		}
		for _, secret := range []string{a[:9], a[cut+1:], id[strings.LastIndex(id, "."):], "secret1"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows a part of the file", name)
			}
		}
	}
}

// tokenOf is what readToken finds in a file with text.
func tokenOf(t *testing.T, text string) (string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token.txt")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	saved, err := readToken(name)
	return saved.token, err
}

// TestSavedAnswers: a whole answer is kept, because what is beside the token in it
// counts, too.
func TestSavedAnswers(t *testing.T) {
	a := jwtOf("access")
	answer := `{"access_token":"` + a + `","id_token":"` + jwtOf("id") + `"}`
	for text, want := range map[string]string{
		answer:                     answer,
		"\ufeff" + answer + "\r\n": answer,
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + answer: answer,
		a:                             "",
		`"access_token": "` + a + `"`: "",
		`{"accessToken":"` + a + `"}`: "",
	} {
		if got, err := tokenIn(strings.TrimPrefix(text, "\ufeff")); got.answer != want || got.token != a || err != nil {
			t.Errorf("tokenIn found an answer of %d bytes and %v, want one of %d bytes", len(got.answer), err, len(want))
		}
	}
}
