package records

import (
	"fmt"
	"strings"

	"m2m-token-enricher/schema"
)

// noteKey returns the key of the note about the record at key. It is in the
// record's slot of a cluster, as the script needs it; where braces prevent that,
// the error wraps schema.ErrInvalidRecord.
func (s *Store) noteKey(key string) (string, error) {
	tag := hashTag(key)
	note := s.prefix + "written:{" + key + "}"
	if s.isCluster() && hashTag(note) != tag {
		note = s.prefix + "written:{" + tag + "}" + key
		if hashTag(note) != tag {
			return "", fmt.Errorf("%s: %w: a cluster can't keep it because of the braces in it", key, schema.ErrInvalidRecord)
		}
	}
	return note, nil
}

// hashTag returns the part of key that decides its slot (Redis cluster
// specification, "Hash tags").
func hashTag(key string) string {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
