package pdk

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxRequestSize is the number of bytes that a request's body may have. Kong itself
// sets no limit by default.
const maxRequestSize = 64 << 10

// BodyIsEmpty asks whether the request has no body.
func (e *Event) BodyIsEmpty() (bool, error) {
	e.wire.ask("kong.request.get_raw_body", nothing)
	body, unreadable, err := e.requestBody()
	return len(body) == 0 && unreadable == nil, err
}

// bodyReply reads the reply that is a RawBodyResult: the request's body, the path of
// a file with it, or why it can't be read.
func (e *Event) bodyReply() (body, path, failure []byte, err error) {
	err = e.reply("the request's body", func(message []byte) error {
		var contentErr, pathErr, failureErr error
		body, contentErr = field(message, 1)
		path, pathErr = field(message, 2)
		failure, failureErr = field(message, 3)
		return errors.Join(contentErr, pathErr, failureErr)
	})
	return body, path, failure, err
}

// bodyInMemory reads the reply with the request's body, nil if Kong hasn't it in
// memory.
func (e *Event) bodyInMemory() ([]byte, error) {
	body, path, failure, err := e.bodyReply()
	if path != nil || failure != nil {
		return nil, err
	}
	return body, err
}

// requestBody reads the reply with the request's body, or why it can't be read.
func (e *Event) requestBody() (body []byte, unreadable, err error) {
	body, path, failure, err := e.bodyReply()
	switch {
	case err != nil:
		return nil, nil, err
	case path != nil: // nginx wrote it to a file
		body, unreadable = readFile(string(path))
	case failure != nil:
		unreadable = errors.New("the gateway can't read the body")
	}
	if len(body) > maxRequestSize {
		return nil, fmt.Errorf("the body has more than %d bytes", maxRequestSize), nil
	}
	return body, unreadable, nil
}

// readFile reads at most one byte more than a body may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the body that Kong wrote to a file: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxRequestSize+1))
	if err != nil {
		return nil, fmt.Errorf("the body that Kong wrote to a file: %w", err)
	}
	return body, nil
}
