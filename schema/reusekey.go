package schema

// reuseSegment follows the prefix in the keys of reuse.
const reuseSegment = "reuse"

// A purge leaves a mark: a random value under the name of what it purged. Held answers
// from before that mark aren't reused.
const (
	PurgedAll     = "all"
	MaxPurgeMarks = 256
)

// PurgedClient is the name of the mark that a purge of one client leaves.
func PurgedClient(clientID string) string { return "client:" + clientID }

// PurgeMarksKey is the key in Redis of the hash of these marks.
func PurgeMarksKey(prefix string) string { return prefix + reuseSegment + ":purged" }

// SharedAnswerKey is the key in Redis of the shared answer called name.
func SharedAnswerKey(prefix, name string) string { return prefix + reuseSegment + ":answer:" + name }
