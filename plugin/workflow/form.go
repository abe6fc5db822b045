//go:build !noworkflow

package workflow

import (
	"strings"
	"unicode/utf8"
)

// Forms are application/x-www-form-urlencoded (WHATWG URL, section 5).

const hexDigits = "0123456789ABCDEF"

type pair struct{ name, value string }

// form returns pairs as a form.
func form(pairs []pair) string {
	var text strings.Builder
	for i, each := range pairs {
		if i > 0 {
			text.WriteByte('&')
		}
		escape(&text, each.name)
		text.WriteByte('=')
		escape(&text, each.value)
	}
	return text.String()
}

func escape(to *strings.Builder, text string) {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("*-._", c) >= 0:
			to.WriteByte(c)
		case c == ' ':
			to.WriteByte('+')
		default:
			to.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
}

// unescape decodes a name or a value of a form. A percent sign that isn't followed
// by two digits stands for itself.
func unescape(text string) string {
	if !strings.ContainsAny(text, "+%") {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(text) && digit(text[i+1]) >= 0 && digit(text[i+2]) >= 0 {
			c = byte(digit(text[i+1])<<4 | digit(text[i+2]))
			i += 2
		}
		decoded = append(decoded, c)
	}
	return characters(decoded)
}

// digit returns the value of a hexadecimal digit, -1 for another character.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// characters returns text with U+FFFD for what isn't UTF-8: one for each of the
// longest parts with which a character could begin (WHATWG Encoding, section 8.1.1).
func characters(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	var whole strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			for size < len(text) && !utf8.FullRune(text[:size]) && !utf8.FullRune(text[:size+1]) {
				size++
			}
		}
		whole.WriteRune(r)
		text = text[size:]
	}
	return whole.String()
}
