package schema

import "strings"

// Boolean returns what a text says that is true or false, in any letter case:
// spreadsheets write TRUE. It isn't ok if the text says something else.
func Boolean(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}
