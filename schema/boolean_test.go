package schema

import "testing"

func TestBoolean(t *testing.T) {
	for text, want := range map[string]string{
		"true": "true", "TRUE": "true", "True": "true", "tRUE": "true", "false": "false", "FALSE": "false", "False": "false",
		"": "", "1": "", "0": "", "yes": "", "t": "", " true": "", "true\n": "", "fal\u017fe": "", "ｔｒｕｅ": "", "truefalse": "",
	} {
		got := ""
		if value, ok := Boolean(text); ok {
			got = map[bool]string{true: "true", false: "false"}[value]
		}
		if got != want {
			t.Errorf("Boolean(%q) = %q, want %q", text, got, want)
		}
	}
}
