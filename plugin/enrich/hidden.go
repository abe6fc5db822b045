package enrich

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/splice"
)

// hiddenToken returns what in text, which is JSON, a client may take for a token,
// or "". It looks at every depth: at members whose names have the letters of a
// token member's, at strings that have a JWT in them, and at strings that are JSON
// as at the rest.
func hiddenToken(text []byte) string { return hiddenWithin(text, 0) }

// maxQuoted is how many strings within each other are looked into. Each of them may
// be nearly as long as the body, so their number bounds the work.
const maxQuoted = 20

// hiddenWithin is hiddenToken for the text in as many strings as quoted says.
func hiddenWithin(text []byte, quoted int) (found string) {
	if quoted > maxQuoted {
		return "JSON in too many strings to be looked into"
	}
	_ = splice.Walk(text, func(m splice.Member) (more bool) { // a string needn't be JSON to its end
		found = hiddenIn(m, quoted)
		return found == ""
	})
	return found
}

// hiddenInMember is hiddenToken for a member with its name.
func hiddenInMember(m splice.Member) string {
	if kind := m.Value.Kind(); kind == '{' || kind == '[' {
		return cmp.Or(hiddenIn(m, 0), hiddenToken(m.Value))
	}
	return hiddenIn(m, 0)
}

// tokenLetters are the tokenMembers as letters gives them.
var tokenLetters = spelled(tokenMembers)

func hiddenIn(m splice.Member, quoted int) string {
	name := letters(m.Name)
	i := slices.IndexFunc(tokenLetters, func(token string) bool { return strings.EqualFold(name, token) })
	if i >= 0 && !blank(m.Value) {
		return fmt.Sprintf("a member that may be taken for %s", tokenMembers[i])
	}
	content, _ := splice.Text(m.Value)
	if hasJWT(m.Name) || hasJWT(content) {
		return "a string with a JWT in it"
	}
	if start := strings.TrimLeft(content, " \t\r\n"); start != "" && strings.Contains(`{["`, start[:1]) {
		return hiddenWithin([]byte(start), quoted+1)
	}
	return ""
}

// hasJWT reports whether text has a JWT in it, signed or encrypted (RFC 7515,
// section 7.1; RFC 7516, section 7.1): parts with dots between them, of which one
// is a header, and two more follow.
func hasJWT(text string) bool {
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return !partOfJWT(r) }) {
		if strings.Count(run, ".") < 2 {
			continue
		}
		parts := strings.Split(run, ".")
		for i := range len(parts) - 2 {
			if isHeader(parts[i]) {
				return true
			}
		}
	}
	return false
}

func partOfJWT(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_=.", r)
}

// shortestHeader is the length of {"alg":1} in base64url.
const shortestHeader = 12

// isHeader reports whether part ends in a JOSE header in base64url, perhaps padded:
// an object with alg.
func isHeader(part string) bool {
	if part = strings.TrimRight(part, "="); len(part) < shortestHeader {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(part[strings.LastIndexByte(part, '=')+1:]) // token=eyJ…
	if err != nil {
		return false
	}
	header, err := splice.Parse(text)
	return err == nil && header.Get("alg") != nil
}
