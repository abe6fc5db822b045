package splice

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// suite is the folder of the JSON Parsing Test Suite, beside the repository.
const suite = "../../../shared/vectors/json-parsing/test_parsing"

// departures are the files on which Parse and the suite disagree, and why.
var departures = map[string]string{
	"y_object_duplicated_key.json":           "duplicate members are refused (RFC 7493, section 2.3)",
	"y_object_duplicated_key_and_value.json": "duplicate members are refused (RFC 7493, section 2.3)",
}

func TestParsingSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suite, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("the JSON Parsing Test Suite isn't at %s", suite)
	}
	seen := make(map[string]bool)
	for _, file := range files {
		name := filepath.Base(file)
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(text)
			parsed := err == nil || errors.Is(err, ErrNotObject)
			departs := (strings.HasPrefix(name, "y_") && !parsed) || (strings.HasPrefix(name, "n_") && parsed)
			switch reason := departures[name]; {
			case departs && reason == "":
				t.Errorf("Parse = %v, which departs from the suite", err)
			case !departs && reason != "":
				t.Errorf("Parse = %v, which no longer departs from the suite: %s", err, reason)
			}
		})
	}
	for name := range departures {
		if !seen[name] {
			t.Errorf("%s is listed but not in the suite", name)
		}
	}
}
