package redistest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// frame is one command or one reply as it was sent (RESP2 and RESP3), or a part
// of something else, such as TLS.
type frame struct {
	raw   []byte
	words []string // of a command
}

// readChunk reads what has arrived, whatever it is.
func readChunk(r *bufio.Reader) (f frame, err error) {
	if _, err := r.Peek(1); err != nil {
		return f, err
	}
	f.raw = make([]byte, r.Buffered())
	_, err = r.Read(f.raw)
	return f, err
}

// readFrame reads one command or one reply to its end.
func readFrame(r *bufio.Reader) (f frame, err error) {
	if err = f.read(r); err == nil && len(f.words) == 0 {
		f.words = []string{""} // no command
	}
	return f, err
}

func (f *frame) read(r *bufio.Reader) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	f.raw = append(f.raw, line...)
	switch line[0] {
	case '$', '=', '!':
		return f.readBulk(r, line)
	case '*', '~', '>':
		return f.readValues(r, line, 1)
	case '%':
		return f.readValues(r, line, 2) // a key and a value
	}
	f.words = append(f.words, strings.Fields(line)...) // of a command typed by hand
	return nil
}

func (f *frame) readBulk(r *bufio.Reader, line string) error {
	n, err := length(line)
	if err != nil || n < 0 { // a null
		return err
	}
	bulk := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, bulk); err != nil {
		return err
	}
	f.raw = append(f.raw, bulk...)
	f.words = append(f.words, string(bulk[:n]))
	return nil
}

func (f *frame) readValues(r *bufio.Reader, line string, each int) error {
	n, err := length(line)
	for range n * each {
		if err == nil {
			err = f.read(r)
		}
	}
	return err
}

func length(line string) (int, error) {
	n, err := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	if err != nil {
		return 0, fmt.Errorf("no RESP: %w", err)
	}
	return n, nil
}
