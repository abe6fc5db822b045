// Package jws verifies the tokens of a provider and signs those of the gateway
// (RFC 7515, RFC 7519). It fetches the provider's JWK set and reads the gateway's
// key ring.
package jws

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"m2m-token-enricher/plugin/splice"
)

// Why a token isn't accepted.
var (
	// ErrOpaque: it isn't a signed JWT in compact form.
	ErrOpaque = errors.New("not a signed JWT")
	// ErrKeysUnavailable: the provider's keys can't be fetched, and none are
	// cached.
	ErrKeysUnavailable = errors.New("the provider's keys are unavailable")
	// ErrUntrusted: it is a signed JWT, but the provider doesn't vouch for it now.
	ErrUntrusted = errors.New("untrusted token")
)

// Token is a verified token.
type Token struct {
	Type   jsontext.Value // typ as written in the header, nil if it wasn't
	Claims Claims
	Key    string // RFC 7638 thumbprint of the key that verified it
}

// Claims are the claims of a token as its issuer wrote them. They implement
// [jwt.Claims] and decode only what golang-jwt asks for.
type Claims struct{ *splice.Object }

// header is the JOSE header of a token.
type header struct {
	alg, kid string
	typ      jsontext.Value
}

// compact is a token in compact serialization (RFC 7515, section 7.1), decoded
// but not verified.
type compact struct {
	header    *splice.Object
	payload   []byte
	signed    string // what the signature covers
	signature []byte
}

// base64url is strict. The signature covers the text, so another text of the same
// octets is refused.
var base64url = base64.RawURLEncoding.Strict()

// decodeSegment decodes s into buffer, and returns the rest of buffer.
func decodeSegment(s string, buffer []byte) (text, rest []byte, err error) {
	if strings.ContainsAny(s, "\r\n") { // encoding/base64 skips them
		return nil, nil, errors.New("line break in base64url")
	}
	n, err := base64url.Decode(buffer, []byte(s))
	if err != nil {
		return nil, nil, err
	}
	return buffer[:n:n], buffer[n:], nil
}

// decode splits and decodes token. The error wraps ErrOpaque if token isn't a
// JWS, and ErrUntrusted if it is a malformed one.
func decode(token string) (*compact, error) {
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil, fmt.Errorf("%w: not three segments", ErrOpaque)
	}
	buffer := make([]byte, base64url.DecodedLen(len(head)+len(signature)))
	text, buffer, err := decodeSegment(head, buffer)
	if err != nil {
		return nil, fmt.Errorf("%w: header is not base64url", ErrOpaque)
	}
	c := &compact{signed: token[:len(head)+1+len(payload)]}
	c.header, err = splice.Parse(text)
	if err != nil {
		if looksLikeObject(text) {
			return nil, fmt.Errorf("%w: header: %w", ErrUntrusted, err)
		}
		return nil, fmt.Errorf("%w: header is not a JSON object", ErrOpaque)
	}
	own := make([]byte, base64url.DecodedLen(len(payload))) // claims may be kept for longer than the rest
	if c.payload, _, err = decodeSegment(payload, own); err != nil {
		return nil, fmt.Errorf("%w: payload is not base64url", ErrUntrusted)
	}
	if c.signature, _, err = decodeSegment(signature, buffer); err != nil {
		return nil, fmt.Errorf("%w: signature is not base64url", ErrUntrusted)
	}
	return c, nil
}

func looksLikeObject(text []byte) bool {
	return strings.HasPrefix(strings.TrimLeft(string(text), " \t\r\n\ufeff"), "{")
}

// readHeader checks the JOSE header. It ignores members that point to keys (jku,
// jwk, x5u, x5c): keys come from the provider's set alone.
func readHeader(o *splice.Object) (header, error) {
	h := header{typ: o.Get("typ")}
	var ok bool
	if h.alg, ok = o.Text("alg"); !ok {
		return h, fmt.Errorf("%w: alg is missing", ErrUntrusted)
	}
	h.alg = canonical(h.alg)
	if cty, _ := o.Text("cty"); isType(cty, "jwt") {
		return h, fmt.Errorf("%w: a nested token", ErrOpaque)
	}
	if o.Get("enc") != nil {
		return h, fmt.Errorf("%w: an encrypted token", ErrOpaque)
	}
	if o.Get("crit") != nil { // RFC 7515 section 4.1.11: no extension is understood here
		return h, fmt.Errorf("%w: crit names extensions that are not supported", ErrUntrusted)
	}
	if o.Get("b64") != nil { // RFC 7797 section 6 requires crit beside it
		return h, fmt.Errorf("%w: b64 is not supported", ErrUntrusted)
	}
	if kid := o.Get("kid"); kid != nil {
		if h.kid, ok = o.Text("kid"); !ok || h.kid == "" {
			return h, fmt.Errorf("%w: kid is not a string", ErrUntrusted)
		}
	}
	if h.typ != nil {
		typ, ok := o.Text("typ")
		if !ok || (!isType(typ, "jwt") && !isType(typ, "at+jwt")) {
			return h, fmt.Errorf("%w: typ is not that of an access token", ErrUntrusted)
		}
	}
	return h, nil
}

// isType compares media types by RFC 7515, section 4.1.9: case doesn't matter, and
// application/ may be missing.
func isType(value, want string) bool {
	value = strings.ToLower(value)
	return strings.TrimPrefix(value, "application/") == want
}

// GetExpirationTime implements [jwt.Claims].
func (c Claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }

// GetNotBefore implements [jwt.Claims].
func (c Claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuedAt implements [jwt.Claims].
func (c Claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetIssuer implements [jwt.Claims].
func (c Claims) GetIssuer() (string, error) { return c.text("iss") }

// GetSubject implements [jwt.Claims].
func (c Claims) GetSubject() (string, error) { return c.text("sub") }

// GetAudience implements [jwt.Claims]: a string or an array of strings (RFC
// 7519, section 4.1.3).
func (c Claims) GetAudience() (jwt.ClaimStrings, error) {
	aud := c.Get("aud")
	if aud == nil {
		return nil, nil
	}
	if s, ok := c.Text("aud"); ok {
		return jwt.ClaimStrings{s}, nil
	}
	list, ok := splice.Texts(aud)
	if !ok {
		return nil, errors.New("aud is not a string or an array of strings")
	}
	return list, nil
}

func (c Claims) text(name string) (string, error) {
	if c.Get(name) == nil {
		return "", nil
	}
	s, ok := c.Text(name)
	if !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// date reads a NumericDate (RFC 7519, section 2). Fractions of a second are
// dropped.
func (c Claims) date(name string) (*jwt.NumericDate, error) {
	value := c.Get(name)
	if value == nil {
		return nil, nil
	}
	if value.Kind() != '0' {
		return nil, fmt.Errorf("%s is not a number", name)
	}
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(string(value), 64)
		if ferr != nil || math.Abs(f) > maxDate {
			return nil, fmt.Errorf("%s is not a date", name)
		}
		seconds = int64(math.Floor(f))
	}
	if seconds > maxDate || seconds < -maxDate {
		return nil, fmt.Errorf("%s is not a date", name)
	}
	return &jwt.NumericDate{Time: time.Unix(seconds, 0)}, nil
}

// maxDate is the end of the year 9999 in Unix seconds. Further dates overflow
// in many readers.
const maxDate = 253402300799

// Unverified returns the header and the payload of a JWT that nobody verified.
// Show them only.
func Unverified(token string) (header, payload []byte, err error) {
	c, err := decode(token)
	if err != nil {
		return nil, nil, err
	}
	return c.header.Bytes(), c.payload, nil
}

// UnverifiedClaims returns the claims of a JWT that nobody verified. Show them
// only, or compare them with verified ones.
func UnverifiedClaims(token string) (Claims, error) {
	c, err := decode(token)
	if err != nil {
		return Claims{}, err
	}
	o, err := splice.Parse(c.payload)
	if err != nil {
		return Claims{}, errors.New("payload is not a JSON object")
	}
	return Claims{o}, nil
}
