package connect

import (
	"errors"
	"strings"
)

// WithoutArguments drops what a server repeats when it doesn't know a command:
// one argument of AUTH is the password.
func WithoutArguments(err error) error {
	if text, _, repeats := strings.Cut(err.Error(), ", with args"); repeats {
		return errors.New(text)
	}
	return err
}
