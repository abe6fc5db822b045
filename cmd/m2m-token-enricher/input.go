package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"m2m-token-enricher/schema"
)

// openInput opens a file, or standard input for "-".
func openInput(name string) (*os.File, error) {
	if name == "-" {
		return os.Stdin, nil
	}
	return os.Open(name) // its error names the file
}

// inputName is what errors call an input.
func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// readText reads a text of at most limit bytes from a file.
func readText(name string, limit int) (string, error) {
	file, err := openInput(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return "", err // it names the file
	}
	if len(content) > limit {
		return "", fmt.Errorf("%s: larger than %d bytes", inputName(name), limit)
	}
	text, err := decodeText(content)
	if err != nil {
		return "", fmt.Errorf("%s: %w", inputName(name), err)
	}
	return text, nil
}

// decodeText returns a text in UTF-8. Its byte order mark says whether it is in
// UTF-16, as what Windows PowerShell writes to a file.
func decodeText(content []byte) (string, error) {
	text := string(schema.WithoutMark(content))
	for mark, order := range map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		if rest, ok := strings.CutPrefix(text, mark); ok && len(rest)%2 == 0 {
			units := make([]uint16, len(rest)/2)
			for i := range units {
				units[i] = order.Uint16([]byte(rest[2*i:]))
			}
			return string(utf16.Decode(units)), nil
		}
	}
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") || strings.Contains(text, "\x00") {
		return "", errors.New("isn't text that can be read; save it as UTF-8")
	}
	return text, nil
}
