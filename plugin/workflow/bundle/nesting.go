package bundle

import (
	"bytes"
	"fmt"
)

// Limits of what the parsers get. They follow a text's nesting with calls of their
// own, so that a text of nothing but open brackets would end the process.
const (
	maxOwn     = 64 << 10 // bytes of a workflow's own file of code
	maxNesting = 500      // open brackets and arrows
)

// checkNesting refuses code that no person writes and on which the parsers take
// too long or end the process.
func checkNesting(path string, text []byte) error {
	if extension(path) != ".json" && !installed(path) && len(text) > maxOwn {
		return fmt.Errorf("the file has more than %d KiB of code: split it, or move data to a .json file", maxOwn>>10)
	}
	if line := tooDeep(text); line > 0 {
		return fmt.Errorf("line %d of the file has more than %d brackets and arrows in each other", line, maxNesting)
	}
	return nil
}

// tooDeep returns the line at which more than maxNesting brackets and arrows are
// open, 0 if there is none. An arrow ends with its bracket, or before it with a
// comma or a semicolon. Brackets between quotes on a line don't count.
func tooDeep(text []byte) (line int) {
	line = 1
	arrows := []int{0} // in each open bracket
	depth := 0
	for i := 0; i < len(text); i++ {
		switch b := text[i]; b {
		case '\n':
			line++
		case '"', '\'':
			i += quoted(text[i:])
		case '(', '[', '{':
			arrows = append(arrows, 0)
			depth++
		case ')', ']', '}':
			if last := len(arrows) - 1; last > 0 {
				depth -= arrows[last] + 1
				arrows = arrows[:last]
			}
		case ',', ';':
			depth -= arrows[len(arrows)-1]
			arrows[len(arrows)-1] = 0
		case '>':
			if i > 0 && text[i-1] == '=' {
				arrows[len(arrows)-1]++
				depth++
			}
		}
		if depth > maxNesting {
			return line
		}
	}
	return 0
}

// quoted returns how many bytes follow the quote that text begins with until it
// is closed on its line, 0 if it isn't.
func quoted(text []byte) int {
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		end = len(text)
	}
	for i := 1; i < end; i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i
		}
	}
	return 0
}
