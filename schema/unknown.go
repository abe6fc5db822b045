package schema

import "strings"

// Unknown stands in a configuration for a value that isn't in its file, because
// somebody fills it in before Kong reads it.
type Unknown struct {
	Where string // such as "in the Secret m2m-redis"
}

// UnknownField is a field whose value is [Unknown].
type UnknownField struct {
	Path  string // such as config.redis.password
	Where string
}

// within reports whether path is that of outer or of something in it.
func within(path, outer string) bool {
	rest, below := strings.CutPrefix(path, outer)
	return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
