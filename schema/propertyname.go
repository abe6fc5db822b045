package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Names are the names of properties that have a meaning, for each kind of record:
// those in meaningful, and those that a configuration names. AllProperties among them
// says that the whole record is read.
type Names map[Kind][]string

// AllProperties stands in [Names] for every property of a kind, and a source that is
// the kind alone, such as "organization", has it as its key. Code that chooses
// properties while it runs needs the whole record. No property has this name.
const AllProperties = ""

// All reports whether whole records of kind are read.
func (n Names) All(kind Kind) bool { return slices.Contains(n[kind], AllProperties) }

// meaningful are the names that have a meaning in every configuration.
var meaningful = Names{
	Organization: {OrganizationCode, IsSuspended},
	User:         {UserID},
}

// NamesOf returns the names that have a meaning in any of configs: the properties
// that the plugin reads.
func NamesOf(configs ...*Config) Names {
	names := Names{}
	add := func(kind Kind, name string) {
		if !slices.Contains(names[kind], name) {
			names[kind] = append(names[kind], name)
		}
	}
	for kind, list := range meaningful {
		for _, name := range list {
			add(kind, name)
		}
	}
	for _, cfg := range configs {
		for _, source := range cfg.Sources() {
			if kind, name := Source(source); kind != Token && kind != "" {
				add(kind, name)
			}
		}
	}
	return names
}

// Check returns an error for each property of a record of kind whose name may be
// taken for a name with a meaning. It wraps ErrInvalidRecord and shows no value.
func (n Names) Check(kind Kind, r Record) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if err := n.CheckName(kind, name); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrInvalidRecord, err))
		}
	}
	return errors.Join(errs...)
}

// CheckName returns an error if name may be taken for a name with a meaning. The
// plugin reads properties by their exact names. So a suspension that is called
// "Is_Suspended" would have no effect, and nobody would see why.
func (n Names) CheckName(kind Kind, name string) error {
	if meant := n.Meant(kind, name); meant != "" {
		return fmt.Errorf("%.300q may be taken for %.300q; write it exactly so, or choose another name", name, meant)
	}
	return nil
}

// Meant returns the name with a meaning that name may be taken for, "" if there is
// none: name has the same letters and digits, whatever their case, without being
// one itself.
func (n Names) Meant(kind Kind, name string) string {
	names := slices.Concat(meaningful[kind], n[kind])
	text := lettersAndDigits(name)
	if text == "" || slices.Contains(names, name) {
		return ""
	}
	for _, meant := range names {
		if text == lettersAndDigits(meant) {
			return meant
		}
	}
	return ""
}

// lettersAndDigits returns the visible letters and digits of a name, in lower case
// and of normal width.
func lettersAndDigits(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x300 && r <= 0x36f: // accents that combine with a Latin letter
			return -1
		case ignorable(r):
			return -1
		case unicode.In(r, unicode.L, unicode.M, unicode.N):
			return r
		}
		return -1
	}, fold(strings.Map(normalWidth, name)))
}

// normalWidth returns the ASCII character of a fullwidth one.
func normalWidth(r rune) rune {
	if r >= '！' && r <= '～' {
		return r - '！' + '!'
	}
	return r
}
