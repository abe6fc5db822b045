//go:build !noworkflow

package workflow

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// mistake is something wrong in a workflow's settings.
type mistake struct {
	word string // that the settings have there, "" for the whole file
	text string
}

func mistakef(word, format string, args ...any) mistake {
	return mistake{word, fmt.Sprintf(format, args...)}
}

// placed returns an error for each mistake, with its place in file, which people
// know as shown.
func placed(file, shown string, mistakes []mistake) error {
	var errs []error
	text := head(file)
	for _, m := range mistakes {
		errs = append(errs, fmt.Errorf("%s%s: %s", shown, find(text, m.word), m.text))
	}
	return errors.Join(errs...)
}

// head returns the beginning of a file, "" if it can't be read any longer.
func head(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(text)
}

// find returns the line and column of a word in the settings of a file, such as
// ":3:5". It returns "" if there is none: the settings may come from elsewhere.
func find(text, word string) string {
	settings := max(strings.Index(text, "workflowSettings"), 0)
	if word == "" || text == "" {
		return ""
	}
	at := regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).FindStringIndex(text[settings:])
	if at == nil {
		return ""
	}
	before := text[:settings+at[0]]
	return fmt.Sprintf(":%d:%d", strings.Count(before, "\n")+1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])+1)
}
