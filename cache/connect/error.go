package connect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
)

// RecordError says why the record at key can't be read or written. It wraps
// schema.ErrInvalidRecord or schema.ErrUnavailable.
func RecordError(key string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return NotAHash(key)
	}
	return fmt.Errorf("%s: %w: %w", key, schema.ErrUnavailable, WithoutArguments(err))
}

// NotAHash is the error of a key whose value in Redis isn't a record. It wraps
// schema.ErrInvalidRecord.
func NotAHash(key string) error {
	return fmt.Errorf("%s is not a hash: %w", key, schema.ErrInvalidRecord)
}

// WithoutArguments removes the arguments that a server repeats when it doesn't
// know a command: one argument of AUTH is the password.
func WithoutArguments(err error) error {
	if text, _, repeats := strings.Cut(err.Error(), ", with args"); repeats {
		return errors.New(text)
	}
	return err
}
