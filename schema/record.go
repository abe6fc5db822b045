package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a record.
type Kind string

// The kinds of records. A claim's source begins with the kind.
const (
	Application  Kind = "application"
	Organization Kind = "organization"
	User         Kind = "user"
)

// Token is a source, too, but not a kind of record: the provider's verified token.
const Token Kind = "token"

// Kinds are the kinds of records.
var Kinds = []Kind{Application, Organization, User}

// Short is the kind in a key, as a folder of records and as a command: app, org or
// user.
func (k Kind) Short() string {
	switch k {
	case Organization:
		return "org"
	case User:
		return "user"
	}
	return "app"
}

// Key returns the key in Redis of the record of kind that id names.
func (k Kind) Key(prefix, id string) string { return prefix + k.Short() + ":" + id }

// Record holds the properties of an application, an organization or a user as
// its provider wrote them. An absent and an empty property are the same:
// missing.
type Record map[string]string

// Properties with a meaning of their own.
const (
	OrganizationCode = "code"         // must be the code in the record's key
	IsSuspended      = "is_suspended" // "true" or "false", in any letter case
	UserID           = "id"           // must be the identifier in the record's key
)

// Limits of a record.
const (
	MaxIDSize       = 256  // bytes of a client id, an organization's code or a user's identifier
	MaxPropertySize = 4096 // bytes of a value
	MaxNameSize     = 256  // bytes
	MaxProperties   = 256

	MaxExpressionSize = 4096 // bytes of a claim's expr
)

// IDForm is the form of an identifier, for errors.
const IDForm = "1 to 256 printable ASCII characters without a space at an end"

// ValidID reports whether id is a client id, an organization's code or a user's
// identifier: the characters of a client id (RFC 6749, appendix A.1), the space
// among them. A space at an end isn't allowed. Nobody sees it in a spreadsheet, and
// the record of "org_1 " wouldn't suspend org_1.
func ValidID(id string) bool {
	for _, c := range []byte(id) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return id != "" && len(id) <= MaxIDSize && id[0] != ' ' && id[len(id)-1] != ' '
}

// Complete returns the record id of kind as it is stored: without empty properties,
// with the property that repeats id, and with is_suspended in lower case. given
// isn't modified, but may be returned.
// The error joins all errors in the record. It wraps ErrInvalidRecord and shows no
// value.
func (k Kind) Complete(id string, given Record) (Record, error) {
	var errs []error
	invalid := func(format string, args ...any) { errs = append(errs, invalidRecord(format, args...)) }
	if !ValidID(id) {
		invalid("the identifier %.300q is not %s", id, IDForm)
	}
	r := k.stored(id, given)
	if own := k.ownProperty(); own != "" && r[own] != id {
		invalid("%s must be the identifier %q", own, id)
	}
	if _, ok := Boolean(r[IsSuspended]); k == Organization && r[IsSuspended] != "" && !ok {
		invalid("%s must be true or false", IsSuspended)
	}
	if len(r) == 0 {
		invalid("no property, and Redis stores no empty record")
	}
	errs = append(errs, r.checkSize()...)
	slices.SortFunc(errs, byText)
	return r, errors.Join(errs...)
}

// CheckSize returns an error if r is larger than a record may be, or isn't text. It
// wraps ErrInvalidRecord and shows no value.
func (r Record) CheckSize() error {
	errs := r.checkSize()
	if len(errs) == 0 {
		return nil
	}
	return slices.MinFunc(errs, byText) // one is enough for a log
}

func (r Record) checkSize() (errs []error) {
	if len(r) > MaxProperties {
		return []error{invalidRecord("%d properties, more than %d", len(r), MaxProperties)}
	}
	for name, value := range r {
		switch {
		case name == "" || len(name) > MaxNameSize || !utf8.ValidString(name):
			errs = append(errs, invalidRecord("a property's name is not 1 to %d bytes of UTF-8", MaxNameSize))
		case len(value) > MaxPropertySize:
			errs = append(errs, invalidRecord("%q has more than %d bytes", name, MaxPropertySize))
		case !utf8.ValidString(value):
			errs = append(errs, invalidRecord("%q isn't UTF-8", name))
		}
	}
	return errs
}

func invalidRecord(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidRecord}, args...)...)
}

func byText(a, b error) int { return strings.Compare(a.Error(), b.Error()) }

// stored returns given as it is stored, or given itself if nothing changes.
func (k Kind) stored(id string, given Record) Record {
	own := k.ownProperty()
	suspended, isBoolean := Boolean(given[IsSuspended])
	isBoolean = isBoolean && k == Organization
	asIs := (own == "" || given[own] != "") && (!isBoolean || given[IsSuspended] == strconv.FormatBool(suspended))
	for _, value := range given {
		asIs = asIs && value != ""
	}
	if asIs {
		return given
	}
	r := maps.Clone(given)
	maps.DeleteFunc(r, func(_, value string) bool { return value == "" })
	if own != "" && r[own] == "" {
		if r == nil {
			r = Record{}
		}
		r[own] = id
	}
	if isBoolean {
		r[IsSuspended] = strconv.FormatBool(suspended)
	}
	return r
}

// ownProperty is the property that must be the identifier in the record's key,
// "" if there is none.
func (k Kind) ownProperty() string {
	switch k {
	case Organization:
		return OrganizationCode
	case User:
		return UserID
	}
	return ""
}

// Why there is no record. "No such record" never means "the answer is unknown".
var (
	ErrNoRecord      = errors.New("no such record")
	ErrInvalidRecord = errors.New("invalid record")
	ErrUnavailable   = errors.New("records unavailable")
	ErrNotListed     = errors.New("this server lists no records (SCAN)")
)
