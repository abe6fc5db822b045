package schema

import "bytes"

// WithoutMark returns text without the byte order mark that it may begin with.
// Windows editors write one, and nobody sees it. Every reader of text from
// outside drops it, and no reader drops a second one.
func WithoutMark(text []byte) []byte {
	return bytes.TrimPrefix(text, []byte("\ufeff"))
}
