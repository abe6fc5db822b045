// Package visible prints what comes from outside, such as a record, a token, an
// error's text or a file's name, as a part of one line that shows every character.
// Only it writes to terminals and logs.
package visible

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns text with every character that isn't printable escaped as in a
// Go string: control characters, line ends of any kind, characters that are
// invisible or turn the direction of writing (Unicode's categories C, Zl and Zp
// and its default ignorables), bytes that aren't UTF-8. A backslash of the text
// stays as it is; where that matters, use [Value].
func Line(text string) string {
	if printable(text) {
		return text
	}
	return string(escaped(nil, text, ""))
}

// Value returns text as it is if all of it is visible, otherwise as a Go string in
// double quotes. It is quoted if a character isn't printable, if white space is at
// an end, and if it begins with a double quote. So nobody confuses the two forms,
// and [strconv.Unquote] reads a quoted one back.
func Value(text string) string {
	if printable(text) && strings.TrimSpace(text) == text && !strings.HasPrefix(text, `"`) {
		return text
	}
	return quoted(text)
}

// Word is Value for a text that more follows in the line, such as the name in
// name=value: it is quoted, too, if it is empty or has white space or "=" in it.
func Word(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == '=' || unicode.IsSpace(r) }) {
		return quoted(text)
	}
	return Value(text)
}

// JSON returns a JSON text in which what isn't printable is escaped as JSON does.
// It is the same to whoever reads JSON. Its line ends stay.
func JSON(text []byte) []byte {
	if printable(string(text)) {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		switch {
		case r == '\n' || isPrintable(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

// Fprintf is [fmt.Fprintf], but what an argument becomes is a [Line]: line ends
// are those of format alone. The errors that an error joins, one on a line, are
// separated as by [Error].
func Fprintf(w io.Writer, format string, args ...any) {
	for i := range args {
		args[i] = argument{args[i]}
	}
	_, _ = fmt.Fprintf(w, format, args...) // there is no other terminal to report it to
}

type argument struct{ value any }

// Format implements [fmt.Formatter].
func (a argument) Format(state fmt.State, verb rune) {
	text := fmt.Sprintf(fmt.FormatString(state, verb), a.value)
	if err, ok := a.value.(error); ok && text == err.Error() {
		_, _ = io.WriteString(state, Error(err))
		return
	}
	_, _ = io.WriteString(state, Line(text))
}

// Error returns the text of err as a [Line]. Where it joins errors, as
// [errors.Join] does, "; " stands between them; a line end in one of them is
// escaped.
func Error(err error) string {
	var inner []error
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		inner = e.Unwrap()
	case interface{ Unwrap() error }:
		inner = []error{e.Unwrap()}
	}
	var line strings.Builder
	rest := err.Error()
	for i, e := range inner {
		if e == nil {
			continue
		}
		before, after, found := strings.Cut(rest, e.Error())
		if !found {
			continue // err doesn't show it
		}
		if before == "\n" && i > 0 {
			line.WriteString("; ")
		} else {
			line.WriteString(Line(before))
		}
		line.WriteString(Error(e))
		rest = after
	}
	line.WriteString(Line(rest))
	return line.String()
}

// Log returns a writer for the loggers of log and log/slog, which write a record
// at a time: each becomes one [Line].
func Log(w io.Writer) io.Writer { return records{w} }

type records struct{ io.Writer }

// Write implements [io.Writer].
func (r records) Write(record []byte) (int, error) {
	line := Line(string(bytes.TrimSuffix(record, []byte("\n"))))
	if _, err := io.WriteString(r.Writer, line+"\n"); err != nil {
		return 0, err
	}
	return len(record), nil
}

// printable reports whether text is UTF-8 and all of it is shown.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !isPrintable(r) })
}

func isPrintable(r rune) bool {
	if r == 0xfe0e || r == 0xfe0f { // choose how the emoji before them looks
		return true
	}
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func quoted(text string) string { return string(append(escaped([]byte{'"'}, text, `"\`), '"')) }

// escaped appends text to b, with a backslash before each character of special.
func escaped(b []byte, text, special string) []byte {
	for i, size := 0, 0; i < len(text); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, text[i])
		case strings.ContainsRune(special, r):
			b = append(b, '\\', byte(r))
		case isPrintable(r):
			b = utf8.AppendRune(b, r)
		case r > unicode.MaxLatin1 && r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			literal := strconv.QuoteRuneToASCII(r)
			b = append(b, literal[1:len(literal)-1]...)
		}
	}
	return b
}
