package pkcs11

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// scheme begins a PKCS #11 URI.
const scheme = "pkcs11:"

// tokenURI names key pairs of a token: those with the label object are the
// ring. It doesn't name a single pair, because a ring of one key couldn't be
// rotated.
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
	return scheme + strings.Join(text, ";")
}

// unsupported are attributes that say which token is meant. Without them,
// another token could be used.
var unsupported = []string{
	"manufacturer", "model", "library-manufacturer", "library-description", "library-version",
	"slot-id", "slot-manufacturer", "slot-description",
}

// parseURI reads a PKCS #11 URI. It ignores vendors' attributes, and others that
// RFC 7512 doesn't name. The error joins all errors and holds no value, because
// one may be a PIN.
func parseURI(text string) (tokenURI, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(text, scheme), "?")
	where, errs := attributes(path, ";", slices.Concat(unsupported, []string{"token", "serial", "object", "id", "type"})...)
	how, more := attributes(query, "&", "module-path", "pin-source", "pin-value")
	errs = append(errs, more...)
	u := tokenURI{
		token: where["token"], serial: where["serial"], object: where["object"], id: where["id"],
		module: how["module-path"], pinSource: strings.TrimPrefix(strings.TrimPrefix(how["pin-source"], "file://"), "file:"), pinValue: how["pin-value"],
	}
	refuse := func(wrong bool, reason string) {
		if wrong {
			errs = append(errs, errors.New(reason))
		}
	}
	refuse(where["type"] != "" && where["type"] != "private", "attribute type must be private")
	for _, name := range unsupported {
		_, given := where[name]
		refuse(given, "attribute "+name+" is not supported: name the token by token or serial")
	}
	refuse((u.token == "") == (u.serial == ""), "one of the attributes token and serial must be given")
	refuse(u.object == "", "attribute object must be given: the label of the key pairs")
	refuse(!filepath.IsAbs(u.module), "attribute module-path must be given: the absolute path of the token's PKCS #11 library")
	refuse((u.pinSource == "") == (u.pinValue == ""), "one of the attributes pin-source and pin-value must be given")
	refuse(u.pinSource != "" && !filepath.IsAbs(u.pinSource), "attribute pin-source must be the absolute path of a file")
	return u, errors.Join(errs...)
}

// attributes returns the named ones of text's attributes, percent-decoded.
func attributes(text, separator string, names ...string) (values map[string]string, errs []error) {
	values = make(map[string]string)
	for attribute := range strings.SplitSeq(text, separator) {
		name, value, _ := strings.Cut(attribute, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if _, twice := values[name]; twice {
			errs = append(errs, fmt.Errorf("attribute %s is given twice", name))
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("attribute %s is not percent-encoded (RFC 3986)", name))
		}
		values[name] = decoded
	}
	return values, errs
}
