package enrich

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// maxResponseSize is how many bytes a token response may have after it is
// decompressed.
const maxResponseSize = 256 << 10

// tokenMembers are the members of a token response that carry a token (RFC
// 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
var tokenMembers = []string{"access_token", "id_token", "refresh_token"}

// otherTokens are the tokens that don't belong in an M2M response (RFC 6749,
// section 4.4.3), each with the members that describe it. refresh_expires_in is
// Keycloak's.
var otherTokens = [][]string{
	{"id_token"},
	{"refresh_token", "refresh_expires_in", "refresh_token_expires_in"},
}

// tokenResponse is an answer of the provider that carries a token.
type tokenResponse struct {
	body     *splice.Object
	status   int
	hidden   string // what may be a token below the top, "" if there is one on top
	mayCarry bool   // it has a token, or may have one because it can't be read
}

// readResponse ends the exchange if the provider's answer carries no token or
// can't be read.
func readResponse(x *Exchange) (tokenResponse, error) {
	r := tokenResponse{status: x.Response.Status, mayCarry: true}
	switch {
	case r.status >= 400:
		r.mayCarry = false
		return r, &verdict{outcome: UpstreamError}
	case !x.Response.succeeded():
		return r, decided(BadTokenResponse, "the upstream answered status %d", r.status)
	}
	text, err := inflate(x.Response)
	if err != nil {
		return r, decided(BadTokenResponse, "the upstream's body: %w", err)
	}
	text = schema.WithoutMark(text)
	if len(text) == 0 && x.Request.Method == http.MethodOptions {
		r.mayCarry = false
		return r, &verdict{outcome: NotTokenResponse} // a CORS preflight
	}
	switch carries, err := r.parse(text); {
	case err != nil:
		return r, decided(BadTokenResponse, "the upstream's body: %w", err)
	case !carries:
		return r, &verdict{outcome: NotTokenResponse}
	case x.Response.HeadersError != nil:
		return r, decided(BadTokenResponse, "the upstream's headers: %w", x.Response.HeadersError)
	}
	return r, nil
}

// parse reads the body and finds out whether it has a token.
func (r *tokenResponse) parse(text []byte) (carries bool, err error) {
	r.body, err = splice.Parse(text)
	object := err == nil
	if object {
		carries, err = hasToken(r.body)
	}
	if carries || err != nil && !errors.Is(err, splice.ErrNotObject) {
		return carries, err
	}
	r.hidden = hiddenToken(text)
	r.mayCarry = r.hidden != "" || !object // a string alone may be an opaque token
	return r.hidden != "", nil
}

// hasToken reports whether body carries a token. It is an error if readers may
// disagree on that.
func hasToken(body *splice.Object) (has bool, err error) {
	for _, name := range tokenMembers {
		if other := body.Alike(name); other != "" {
			return false, fmt.Errorf("member %q may be taken for %s", other, name)
		}
		has = has || !blank(body.Get(name))
	}
	return has, nil
}

// others returns the members beside the access token that have a token, at any depth
// and under any spelling, and the members that describe such a one. found says what
// the first of them is, without a value. With keep, an ID token and a refresh token
// don't count: they are what an operator may want, and no other copy of the access
// token is.
func (r tokenResponse) others(keep bool) (members []string, found string) {
	for _, m := range r.body.Members() {
		if m.Name == "access_token" || blank(m.Value) || keep && r.mayKeep(m) {
			continue
		}
		token := hiddenInMember(m)
		if token != "" || r.describes(m.Name) {
			members = append(members, m.Name)
			found = cmp.Or(found, token)
		}
	}
	return members, found
}

// mayKeep reports whether a member is a token of otherTokens, or describes one, and
// isn't the access token once more.
func (r tokenResponse) mayKeep(m splice.Member) bool {
	text, _ := splice.Text(m.Value)
	raw, _ := r.body.Text("access_token")
	return text != raw && slices.ContainsFunc(otherTokens, func(token []string) bool { return slices.Contains(token, m.Name) })
}

// describes reports whether the member called name describes a token of otherTokens
// that is in the body.
func (r tokenResponse) describes(name string) bool {
	return slices.ContainsFunc(otherTokens, func(token []string) bool {
		return slices.Contains(token[1:], name) && !blank(r.body.Get(token[0]))
	})
}

// accessToken returns the access token of an M2M response. It ends the exchange if
// the token isn't on top or, with refuse, if another token is beside it.
func (r tokenResponse) accessToken(refuse bool) (string, error) {
	if r.hidden != "" {
		return "", decided(HiddenToken, "the upstream's body has no token on top, but %s deeper", r.hidden)
	}
	if refuse {
		if _, found := r.others(false); found != "" {
			return "", decided(BadTokenResponse, "the upstream's body has %s beside an M2M access token, and other_tokens is refuse", found)
		}
	}
	token, ok := r.body.Text("access_token")
	if !ok {
		return "", decided(BadTokenResponse, "access_token of the upstream's body is not a string")
	}
	return token, nil
}

// with returns the body with another access token and without the members that
// are dropped. expiresIn (s) shortens expires_in; 0 leaves it.
func (r tokenResponse) with(token string, expiresIn int64, dropped []string) ([]byte, error) {
	quoted, _ := splice.Quote(token) // a compact token is ASCII
	changes := []splice.Member{{Name: "access_token", Value: quoted}}
	if present := r.body.Get("expires_in"); expiresIn > 0 && present != nil {
		changes = append(changes, splice.Member{Name: "expires_in", Value: shorten(present, expiresIn)})
	}
	body := r.body.With(changes...)
	if len(dropped) == 0 {
		return body, nil
	}
	changed, err := splice.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("drop other tokens: %w", err)
	}
	return bytes.Clone(changed.Cut(dropped...)), nil // a copy has no room for what was cut
}

// shortened returns the members of the body as the client gets them if expiresIn
// shortens expires_in.
func (r tokenResponse) shortened(expiresIn int64) []splice.Member {
	members := r.body.Members()
	if expiresIn == 0 {
		return members
	}
	members = slices.Clone(members)
	for i := range members {
		if m := &members[i]; m.Name == "expires_in" {
			m.Value = shorten(m.Value, expiresIn)
		}
	}
	return members
}

// shorten returns the lesser of the two numbers of seconds, as a string if
// present is one.
func shorten(present jsontext.Value, expiresIn int64) jsontext.Value {
	text, quoted := splice.Text(present)
	if !quoted {
		text = string(present)
	}
	if old, err := strconv.ParseFloat(text, 64); err == nil && old <= float64(expiresIn) {
		return present
	}
	n := strconv.AppendInt(nil, expiresIn, 10)
	if quoted {
		n, _ = jsontext.AppendQuote(nil, n)
	}
	return n
}

// isPlain reports whether a body is plain JSON, whatever its label: it begins with
// a brace. gzip and zstd begin with other bytes, and a brotli stream that begins
// with a brace is empty.
func isPlain(body []byte) bool { return bytes.HasPrefix(body, []byte("{")) }

// inflate returns the plain body.
func inflate(r Response) ([]byte, error) {
	encoding := strings.ToLower(strings.TrimSpace(r.ContentEncoding))
	if encoding == "" || encoding == "identity" || isPlain(r.Body) {
		if len(r.Body) > maxResponseSize {
			return nil, fmt.Errorf("more than %d bytes", maxResponseSize)
		}
		return r.Body, nil
	}
	plain, err := decoder(encoding, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	text, err := io.ReadAll(io.LimitReader(plain, maxResponseSize+1))
	if err != nil {
		return nil, fmt.Errorf("not valid %s: %w", encoding, err)
	}
	if len(text) > maxResponseSize {
		return nil, fmt.Errorf("more than %d bytes after decompression", maxResponseSize)
	}
	return text, nil
}

func decoder(encoding string, body io.Reader) (io.ReadCloser, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(body)
	case "deflate":
		return zlib.NewReader(body)
	case "br":
		return io.NopCloser(brotli.NewReader(body)), nil
	case "zstd":
		d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8<<20), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, errors.New("unknown content encoding") // its name may be any text, so it isn't quoted
}
