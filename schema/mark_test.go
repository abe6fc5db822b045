package schema

import "testing"

// TestWithoutMark: one byte order mark is dropped, at the beginning only.
func TestWithoutMark(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"{}":               "{}",
		"\ufeff":           "",
		"\ufeff{}":         "{}",
		"\ufeff\ufeff{}":   "\ufeff{}",
		" \ufeff{}":        " \ufeff{}",
		"{}\ufeff":         "{}\ufeff",
		"\xef\xbb{}":       "\xef\xbb{}",
		"\xfe\xff\x00{":    "\xfe\xff\x00{",
		"\ufeff\r\nid,a\n": "\r\nid,a\n",
	} {
		if got := string(WithoutMark([]byte(text))); got != want {
			t.Errorf("WithoutMark(%q) = %q, want %q", text, got, want)
		}
	}
}
