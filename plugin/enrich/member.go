package enrich

import (
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// letters returns the letters of s alone, in lower case.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// spelled returns names as letters gives them.
func spelled(names []string) (all []string) {
	for _, name := range names {
		all = append(all, letters(name))
	}
	return all
}

// blank reports whether value carries nothing. Some providers send all members,
// with null or an empty string in those that don't apply.
func blank(value jsontext.Value) bool {
	return value == nil || value.Kind() == 'n' || string(value) == `""`
}

// absent reports whether a claim isn't there. A null is rewritten where it stands.
func absent(claim jsontext.Value) bool { return claim == nil || claim.Kind() == 'n' }
