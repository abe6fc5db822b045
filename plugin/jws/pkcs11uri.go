package jws

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// tokenScheme begins the URI of keys that stay in a token (RFC 7512).
const tokenScheme = "pkcs11:"

// tokenURI names key pairs of a token: those with the label object are the
// ring. It is not a single pair's URI, since a ring that can't hold a second
// key couldn't be rotated.
type tokenURI struct {
	token, serial string // the token's label or its serial number
	object        string // the label of the ring's key pairs
	id            string // CKA_ID of the pair that signs; empty means the lowest
	module        string // file of the token's PKCS #11 library
	pinSource     string // file that holds the PIN
	pinValue      string // the PIN itself
}

// String returns the URI without its query, which may hold the PIN.
func (u tokenURI) String() string {
	var text []string
	for _, attribute := range [][2]string{{"token", u.token}, {"serial", u.serial}, {"object", u.object}, {"id", u.id}} {
		if attribute[1] != "" {
			text = append(text, attribute[0]+"="+url.PathEscape(attribute[1]))
		}
	}
	return tokenScheme + strings.Join(text, ";")
}

// tokenReader returns what names the token of a URI in messages, and what
// reads its ring.
func tokenReader(uri string) (name string, read func() content) {
	u, err := parseTokenURI(uri)
	if err != nil {
		err = fmt.Errorf("the PKCS #11 URI: %w", err)
		return "the PKCS #11 URI", func() content { return content{err: err} }
	}
	return u.String(), readToken(u)
}

// unsupported are attributes that narrow which token is meant. To ignore one
// could be to take another token.
var unsupported = []string{
	"manufacturer", "model", "library-manufacturer", "library-description", "library-version",
	"slot-id", "slot-manufacturer", "slot-description",
}

// parseTokenURI reads a PKCS #11 URI. Vendors' attributes are ignored, as is
// any other that RFC 7512 doesn't name. The error joins every mistake and holds
// no value, since one may be a PIN.
func parseTokenURI(text string) (tokenURI, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(text, tokenScheme), "?")
	where, mistakes := attributes(path, ";", slices.Concat(unsupported, []string{"token", "serial", "object", "id", "type"})...)
	how, more := attributes(query, "&", "module-path", "pin-source", "pin-value")
	mistakes = append(mistakes, more...)
	u := tokenURI{
		token: where["token"], serial: where["serial"], object: where["object"], id: where["id"],
		module: how["module-path"], pinSource: strings.TrimPrefix(strings.TrimPrefix(how["pin-source"], "file://"), "file:"), pinValue: how["pin-value"],
	}
	if kind := where["type"]; kind != "" && kind != "private" {
		mistakes = append(mistakes, errors.New("attribute type must be private"))
	}
	for name := range where {
		if slices.Contains(unsupported, name) {
			mistakes = append(mistakes, fmt.Errorf("attribute %s is not supported: the token is found by token or serial", name))
		}
	}
	return u, errors.Join(append(mistakes, u.mistakes()...)...)
}

func (u tokenURI) mistakes() (mistakes []error) {
	if (u.token == "") == (u.serial == "") {
		mistakes = append(mistakes, errors.New("one of the attributes token and serial must be given"))
	}
	if u.object == "" {
		mistakes = append(mistakes, errors.New("attribute object must be given: the label of the key pairs"))
	}
	if !filepath.IsAbs(u.module) {
		mistakes = append(mistakes, errors.New("attribute module-path must be given: the absolute path of the token's PKCS #11 library"))
	}
	if (u.pinSource == "") == (u.pinValue == "") {
		mistakes = append(mistakes, errors.New("one of the attributes pin-source and pin-value must be given"))
	}
	if u.pinSource != "" && !filepath.IsAbs(u.pinSource) {
		mistakes = append(mistakes, errors.New("attribute pin-source must be the absolute path of a file"))
	}
	return mistakes
}

// attributes returns the named ones of text's attributes, percent-decoded.
func attributes(text, separator string, names ...string) (found map[string]string, mistakes []error) {
	found = make(map[string]string)
	for attribute := range strings.SplitSeq(text, separator) {
		name, value, _ := strings.Cut(attribute, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if _, twice := found[name]; twice {
			mistakes = append(mistakes, fmt.Errorf("attribute %s is given twice", name))
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("attribute %s is not percent-encoded as RFC 3986 has it", name))
		}
		found[name] = decoded
	}
	return found, mistakes
}
