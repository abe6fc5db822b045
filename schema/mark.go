package schema

import "bytes"

// WithoutMark returns text without the byte order mark that it may begin with.
// Windows editors write one, and nobody sees it. Every reader of text from
// outside drops it, and no reader drops a second one.
func WithoutMark(text []byte) []byte {
	return bytes.TrimPrefix(text, []byte("\ufeff"))
}

// IsUTF16 reports whether text begins with the mark of UTF-16, which no reader of
// text takes: it must be saved as UTF-8.
func IsUTF16(text []byte) bool {
	return bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff})
}
