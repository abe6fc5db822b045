package schema

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// segments are what may follow a prefix in a key, up to the first colon: one for
// each kind of records, one for synchronizations, and one for reuse.
var segments = []string{Application.Short(), Organization.Short(), User.Short(), "written", reuseSegment}

var errPrefixEnd = errors.New("must end in a separator, such as a colon: any character except letters, digits, '-', '.' and '_'")

// ValidPrefix returns an error if a key below prefix could also be a key below
// another valid prefix. A valid prefix ends in a separator, and has no segment
// between a separator and a colon. So a key has one reading: its first segment
// ends the prefix, and the rest is an identifier. The characters of host names
// aren't separators, because a prefix that is derived from a host must be valid.
func ValidPrefix(prefix string) error {
	if prefix == "" || !separator(prefix[len(prefix)-1]) {
		return errPrefixEnd
	}
	for i := range prefix {
		if i > 0 && !separator(prefix[i-1]) {
			continue
		}
		for _, segment := range segments {
			if strings.HasPrefix(prefix[i:], segment+":") {
				return fmt.Errorf("must not have the part %q, because records below the prefix %q have it in their keys; choose another word", segment, prefix[:i])
			}
		}
	}
	return nil
}

// separator reports whether c ends a part of a prefix.
func separator(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return false
	}
	return c != '-' && c != '.' && c != '_'
}

// derivedPrefix returns the prefix of a configuration without one. A host that is
// called like a segment gets the dot that ends every complete name in the DNS.
func derivedPrefix(issuer *url.URL) string {
	host := strings.ToLower(issuer.Hostname())
	if prefix := "m2m:" + host + ":"; ValidPrefix(prefix) == nil {
		return prefix
	}
	return "m2m:" + host + ".:"
}
