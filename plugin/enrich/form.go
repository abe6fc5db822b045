package enrich

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Readers of requests differ. Some fold case, turn the dots and spaces of a name
// into underscores, cut it at a bracket or a NUL, or split at semicolons too.
// Some ignore the media type and read a form as JSON, or JSON as a form. The
// plugin accepts only one shape of request, which all of them understand alike:
//
//   - A name has ASCII letters, digits and a few signs at which no reader stops,
//     and may end in keys in brackets. So no form is a JSON object, too: that
//     begins with a brace.
//   - A name with the letters of a deciding one, in any case, is that one.
//   - No deciding name follows a separator that only some readers split at: ; in
//     a form or a cookie, ; and & in JSON.
//   - There is one grant, so a reader that stops early finds that or none.

// deciding are the names that say what is asked for and who asks.
var deciding = []string{"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"}

// decidingLetters are the deciding names as letters gives them.
var decidingLetters = spelled(deciding)

// readForm reads a form, or a query, in the shape that all readers understand
// alike. Its errors quote no part of it.
func readForm(text string) (parameters, error) {
	if text == "" {
		return nil, nil
	}
	form := make(parameters, 0, 8)
	for text != "" {
		var pair string
		if pair, text, _ = strings.Cut(text, "&"); pair == "" {
			continue
		}
		one, err := readPair(pair)
		if err != nil {
			return nil, err
		}
		form = append(form, one)
	}
	return form, nil
}

func readPair(pair string) (p parameter, err error) {
	name, value, _ := strings.Cut(pair, "=")
	if p.name, err = url.QueryUnescape(name); err == nil {
		p.value, err = url.QueryUnescape(value)
	}
	switch {
	case err != nil:
		return p, errors.New("the form can't be decoded")
	case !utf8.ValidString(p.value):
		return p, errors.New("the form is not in UTF-8")
	case hidesName(value, ";"):
		return p, errors.New("a semicolon after which a parameter may begin")
	}
	return p, checkName(p.name)
}

// checkName returns an error unless all readers understand name alike.
func checkName(name string) error {
	if slices.Contains(deciding, name) {
		return nil
	}
	parts := clearName.FindStringSubmatch(name)
	if parts == nil {
		return errors.New("a parameter's name has characters that readers understand differently")
	}
	if i := slices.Index(decidingLetters, letters(parts[1])); i >= 0 {
		return errors.New("a parameter that may be taken for " + deciding[i])
	}
	return nil
}

// clearName matches the names that readers understand alike, except for letter
// case, dots and hyphens. Keys in brackets make a list or a map of the name before
// them, or belong to the name.
var clearName = regexp.MustCompile(`^([A-Za-z0-9_.:/@$~-]+)(\[[A-Za-z0-9_.-]*\])*$`)

// hidesName reports whether a reader that splits text at separators, which
// others don't split at, may find a deciding parameter after the first.
func hidesName(text, separators string) bool {
	i := strings.IndexAny(text, separators)
	if i < 0 {
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(text[i:], func(r rune) bool { return strings.ContainsRune(separators, r) }), mayDecide)
}

// mayDecide reports whether piece may begin with a deciding name for a reader
// that skips characters before it, drops some within it, or cuts it off.
func mayDecide(piece string) bool {
	name, _, _ := strings.Cut(piece, "=")
	name, broken := unescapeStart(name)
	name = strings.TrimLeftFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("[]()._-", r)
	})
	if name == "" || !unicode.IsLetter(rune(name[0])) {
		return broken && name == ""
	}
	start := letters(name)
	return slices.ContainsFunc(decidingLetters, func(word string) bool {
		return strings.HasPrefix(start, word) || broken && strings.HasPrefix(word, start)
	})
}

// escape matches what all readers of a form decode alike.
var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// unescapeStart decodes text up to the first broken escape, and reports whether
// there is one. Behind it, readers may find anything.
func unescapeStart(text string) (start string, broken bool) {
	if at := strings.IndexByte(escape.ReplaceAllLiteralString(text, "..."), '%'); at >= 0 {
		text, broken = text[:at], true
	}
	start, _ = url.QueryUnescape(text) // it has no broken escape
	return start, broken
}
