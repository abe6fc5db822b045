//go:build !noworkflow

package workflow

import (
	"os"
	"testing"
)

// starter is a bundle of the shape that a starter kit has: a library's client with
// two requests, and three claims.
func starter(t testing.TB) *Workflow {
	text, err := os.ReadFile("testdata/starter.js")
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, string(text))
}

// TestStarter: the shape of a starter kit works.
func TestStarter(t *testing.T) {
	got, _, err := run(t, starter(t))
	if want := `{"applicationId":"app_1","orgName":"Acme","orgCode":"org_1"}`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// BenchmarkStarterKit runs the shape of a starter kit on records that are held.
func BenchmarkStarterKit(b *testing.B) {
	w := starter(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.Run(b.Context(), event, nil, records); err != nil {
			b.Fatal(err)
		}
	}
}
