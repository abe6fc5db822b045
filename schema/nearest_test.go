package schema

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"timeout", "leeway", "organization", "user", "mode", "ttl", "-c", "--config"}
	for word, want := range map[string]string{
		"timout": "timeout", "tiemout": "timeout", "TIMEOUT": "timeout", "leewayy": "leeway", "lewway": "leeway", "organisation": "organization",
		"org": "organization", "uesr": "user", "mod": "mode", "tll": "ttl",
		"": "", "x": "", "-x": "-c", "team": "", "prefix": "", "or": "", "us": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
