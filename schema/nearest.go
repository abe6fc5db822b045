package schema

import (
	"fmt"
	"strings"
)

// DidYouMean returns a question to append to an error about word, such as
// `; did you mean "leeway"?`. It is empty if none of names is similar.
func DidYouMean(word string, names []string) string {
	if name := nearest(word, names); name != "" {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	return ""
}

// nearest returns the one of names that word may be a misspelling or the start
// of, "" if there is none. Every third letter may be wrong.
func nearest(word string, names []string) (name string) {
	word = strings.ToLower(word)
	limit := (len(word) + 1) / 3
	for _, candidate := range names {
		if d := distance(word, strings.ToLower(candidate)); d <= limit {
			name, limit = candidate, d-1
		}
	}
	for _, candidate := range names {
		if name == "" && len(word) > 2 && strings.HasPrefix(candidate, word) {
			name = candidate
		}
	}
	return name
}

// distance returns how many bytes must be added, removed, replaced or swapped
// with the next one to make b of a.
func distance(a, b string) int {
	var before []int // the row of a[:i-2]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := row[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			next[j] = min(row[j]+1, next[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
