//go:build !noworkflow

package workflow

import (
	"regexp"
	"slices"
	"strings"
)

// computedCall matches a call of a function that has no name in the text.
var computedCall = regexp.MustCompile("\\]\\s*(\\?\\.)?\\s*(\\(|`|\\.\\s*(call|apply|bind)\\b)")

// needed returns the bounds for a bundle: those of functions that are called
// without a name, and those that its text can name. A regular expression leads to
// RegExp by its constructor.
func needed(text string) []bound {
	all := text == "" || computedCall.MatchString(text)
	binary := binaryName.MatchString(text)
	var list []bound
	for _, b := range slices.Concat(methods(), constructors()) {
		if all || implicit[b.name] || strings.Contains(text, b.name) || binary && b.binary() || b.name == "RegExp" && strings.Contains(text, "constructor") {
			list = append(list, b)
		}
	}
	return list
}

// binaryName matches a name of binary data. Whoever has one kind gets to the others:
// an array has a buffer, and each has a constructor.
var binaryName = regexp.MustCompile(`ArrayBuffer|DataView|(Int|Uint|Float)\d+(Clamped)?Array`)

func (b bound) binary() bool { return b.on == "DataView.prototype" || binaryName.MatchString(b.name) }

// implicit are functions that a script calls without naming them: a list becomes
// text, and a spread, a loop or a destructuring asks for an iterator.
var implicit = map[string]bool{"join": true, iterator: true}

// neededParams returns the methods of URLSearchParams for a bundle.
func neededParams(text string) (names []string) {
	all := computedCall.MatchString(text)
	for name := range paramsMethods {
		if all || name == "toString" || regexp.MustCompile(`\b`+name+`\b`).MatchString(text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
