package visible

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// hidden are characters that show nothing or move what is shown.
var hidden = map[string]string{
	"a line end": "\n", "a carriage return": "\r", "a tab": "\t", "an escape sequence": "\x1b[31m", "a backspace": "\b",
	"NUL": "\x00", "DEL": "\x7f", "C1": "\u009b31m", "NEL": "\u0085", "U+2028": "\u2028", "U+2029": "\u2029",
	"a bidi override": "\u202e", "a bidi isolate": "\u2067", "a zero width space": "\u200b", "a soft hyphen": "\u00ad",
	"a byte order mark": "\ufeff", "a tag": "\U000e0041", "a variation selector": "\U000e0100", "a Mongolian one": "\u180b", "a Hangul filler": "\u3164", "not UTF-8": "\xff", "half a character": "\xe2\x82",
	"a noncharacter": "\uffff", "for private use": "\ue000",
}

// shown are texts that stay as they are.
var shown = []string{
	"", "Acme Inc", `C:\new`, `say "hi"`, "Müller & Söhne", "株式会社\u3000例", "شركة", "חברה", "कंपनी", "🚀 ❤️", "a\u00a0b", "e\u0301", "\ufffd", "100 %d",
}

func TestLine(t *testing.T) {
	for name, text := range hidden {
		got := Line("a" + text + "b")
		if !isVisible(got) || !strings.HasPrefix(got, `a\`) || !strings.HasSuffix(got, "b") {
			t.Errorf("%s: Line = %q", name, got)
		}
	}
	for _, text := range shown {
		if got := Line(text); got != text {
			t.Errorf("Line(%q) = %q", text, got)
		}
	}
	if got, want := Line("a\nb\x1b\u202e\U000e0041\xff"), `a\nb\x1b\u202e\U000e0041\xff`; got != want {
		t.Errorf("Line = %s, want %s", got, want)
	}
}

// TestValue: what isn't shown as it is can be read back.
func TestValue(t *testing.T) {
	for text, want := range map[string]string{
		"Acme Inc": "Acme Inc", `C:\new`: `C:\new`, `say "hi"`: `say "hi"`, "": "", "a=b": "a=b",
		"C:\\\n": `"C:\\\n"`, `"Acme"`: `"\"Acme\""`, "Acme ": `"Acme "`, " ": `" "`, "\u00a0x": "\"\u00a0x\"",
	} {
		if got := Value(text); got != want {
			t.Errorf("Value(%q) = %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"plan": "plan", "is_suspended=true": `"is_suspended=true"`, "a b": `"a b"`, "a\u3000b": "\"a\u3000b\"", "": `""`} {
		if got := Word(text); got != want {
			t.Errorf("Word(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestFprintf(t *testing.T) {
	printed := func(format string, args ...any) string {
		var out strings.Builder
		Fprintf(&out, format, args...)
		return out.String()
	}
	joined := errors.Join(errors.New("one"), errors.New("two"))
	for _, tt := range []struct {
		got, want string
	}{
		{printed("%s\n%s\n", "a\nb", "c"), "a\\nb\nc\n"},
		{printed("%q %d %v", "a\n", 7, []string{"x\x1b"}), `"a\n" 7 [x\x1b]`},
		{printed("%-4s|%.2s|%x", "a", "abc", []byte{1}), "a   |ab|01"},
		{printed("check: %v", fmt.Errorf("read: %w", joined)), "check: read: one; two"},
		{printed("%v", fmt.Errorf("%s", "\x1b]0;t\a")), `\x1b]0;t\a`},
		{printed("%v", errors.Join(errors.New("a\nb"), fmt.Errorf("c\n: %w", joined))), `a\nb; c\n: one; two`},
		{printed("%v", fmt.Errorf("%w\n%w", errors.New("one"), fmt.Errorf("x: %w", errors.New("\n")))), `one; x: \n`},
		{printed("%v", &os.PathError{Op: "open", Path: "a\nb", Err: os.ErrNotExist}), `open a\nb: file does not exist`},
		{printed("%20q|%v", errors.New("e"), error(nil)), `                 "e"|<nil>`},
	} {
		if tt.got != tt.want {
			t.Errorf("Fprintf wrote %q, want %q", tt.got, tt.want)
		}
	}
}

// TestLog: a record is a line.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	l := log.New(Log(&out), "", 0)
	l.Print("one\ntwo\x1b")
	l.Print("")
	l.Print("three\n\n")
	if got, want := out.String(), "one\\ntwo\\x1b\n\nthree\\n\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

// isVisible is a plain statement of the rule.
func isVisible(line string) bool {
	return strings.IndexFunc(line, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) || !unicode.IsGraphic(r)
	}) < 0 && strings.ToValidUTF8(line, "") == line
}

func FuzzValue(f *testing.F) {
	for _, text := range hidden {
		f.Add(text)
	}
	for _, text := range shown {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, got := range map[string]string{"Value": Value(text), "Word": Word(text)} {
			if !isVisible(got) {
				t.Fatalf("%s(%q) = %q", name, text, got)
			}
			if back, err := strconv.Unquote(got); strings.HasPrefix(got, `"`) && (err != nil || back != text) {
				t.Fatalf("%s(%q) = %s is read back as %q: %v", name, text, got, back, err)
			} else if !strings.HasPrefix(got, `"`) && got != text {
				t.Fatalf("%s(%q) = %s", name, text, got)
			}
			if again := Line(got); again != got {
				t.Fatalf("Line alters %s to %s", got, again)
			}
		}
		if line := Line(text); !isVisible(line) {
			t.Fatalf("Line(%q) = %q", text, line)
		}
		wantSameJSON(t, text)
	})
}

// wantSameJSON: a reader of JSON finds the same as without escapes.
func wantSameJSON(t *testing.T, text string) {
	t.Helper()
	plain, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var want, got string
	escaped := JSON(plain)
	if err := errors.Join(json.Unmarshal(plain, &want), json.Unmarshal(escaped, &got)); err != nil || got != want || !isVisible(string(escaped)) {
		t.Fatalf("JSON(%q) = %q, which reads %q: %v", plain, escaped, got, err)
	}
}
