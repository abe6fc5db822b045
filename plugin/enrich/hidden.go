package enrich

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/splice"
)

// hiddenToken returns what in text, which is JSON, a client may take for a token,
// or "". It looks at every depth: at members whose names have the letters of a
// token member's, at strings that have a JWT in them, and at strings that are JSON
// as at the rest. A string in a string is shorter, so the work is bounded by the
// body's size.
func hiddenToken(text []byte) (found string) {
	_ = splice.Walk(text, func(m splice.Member) (more bool) { // a string needn't be JSON to its end
		found = hiddenIn(m)
		return found == ""
	})
	return found
}

func hiddenIn(m splice.Member) string {
	i := slices.IndexFunc(tokenMembers, func(token string) bool { return strings.EqualFold(letters(m.Name), letters(token)) })
	if i >= 0 && !blank(m.Value) {
		return fmt.Sprintf("a member that may be taken for %s", tokenMembers[i])
	}
	content, _ := splice.Text(m.Value)
	if hasJWT(m.Name) || hasJWT(content) {
		return "a string with a JWT in it"
	}
	if start := strings.TrimLeft(content, " \t\r\n"); start != "" && strings.Contains(`{["`, start[:1]) {
		return hiddenToken([]byte(start))
	}
	return ""
}

// hasJWT reports whether text has a JWT in it, signed or encrypted (RFC 7515,
// section 7.1; RFC 7516, section 7.1): parts with dots between them, of which one
// is a header, and two more follow.
func hasJWT(text string) bool {
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return !partOfJWT(r) }) {
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

// isHeader reports whether part ends in a JOSE header in base64url, perhaps padded:
// an object with alg.
func isHeader(part string) bool {
	part = strings.TrimRight(part, "=")
	text, err := base64.RawURLEncoding.DecodeString(part[strings.LastIndexByte(part, '=')+1:]) // token=eyJ…
	if err != nil {
		return false
	}
	header, err := splice.Parse(text)
	return err == nil && header.Get("alg") != nil
}
