package schema

import "errors"

// Kind is the kind of a record.
type Kind string

// The kinds of records. A claim's source begins with the kind.
const (
	Application  Kind = "application"
	Organization Kind = "organization"
	User         Kind = "user"
)

// Key returns the key in Redis of the record of kind that id names.
func (k Kind) Key(prefix, id string) string {
	switch k {
	case Organization:
		return prefix + "org:" + id
	case User:
		return prefix + "user:" + id
	default:
		return prefix + "app:" + id
	}
}

// Record holds the properties of an application, an organization or a user as
// its provider wrote them. An absent and an empty property are the same:
// missing.
type Record map[string]string

// Properties with a meaning of their own.
const (
	OrganizationCode = "code"         // must be the code in the record's key
	IsSuspended      = "is_suspended" // "true" or "false"
	UserID           = "id"           // must be the identifier in the record's key
)

// MaxPropertySize is the number of bytes that a property may have.
const MaxPropertySize = 4096

// Why there is no record. "There is none" is never "the answer is unknown".
var (
	ErrNoRecord      = errors.New("no such record")
	ErrInvalidRecord = errors.New("invalid record")
	ErrUnavailable   = errors.New("records unavailable")
)
