package schema

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// segments are what may follow a prefix in a key, up to the first colon: the
// kinds of records, and what synchronizations remember beside them.
var segments = []string{"app", "org", "user", "written"}

var errPrefixEnd = errors.New("must end in a separator, such as a colon: any character except letters, digits, '-', '.' and '_'")

// ValidPrefix returns an error if a key below prefix could be a key below
// another valid prefix, too. Each valid prefix ends in a separator, and none has
// a segment of a key between a separator and a colon. So a key has one reading:
// its first such segment ends the prefix, and the rest is an identifier, in
// which everything may come again. What a host name may consist of separates
// nothing, or the prefix that is derived from a host could be refused.
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
				return fmt.Errorf("must not have the part %q, with which the key of a record goes on below the prefix %q; choose another word", segment, prefix[:i])
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

// derivedPrefix returns the prefix of a configuration that names none. A host
// that would read as the segment of a key gets the dot that ends every complete
// name in the DNS.
func derivedPrefix(issuer *url.URL) string {
	host := strings.ToLower(issuer.Hostname())
	if prefix := "m2m:" + host + ":"; ValidPrefix(prefix) == nil {
		return prefix
	}
	return "m2m:" + host + ".:"
}
