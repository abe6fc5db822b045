package kongtest

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// noRacePause lets a child that was built with -race end without a pause.
const noRacePause = "atexit_sleep_ms=0"

// TestMain also makes the test binary play the programs that a gateway starts,
// by the name of the link.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "probe":
		runProbe(os.Args[1:])
	case "kong":
		os.Exit(Command(os.Args[1:], os.Stdout))
	default:
		os.Setenv("GORACE", noRacePause)
		goleak.VerifyTestMain(m)
	}
}

// linkSelf links the test binary to name in a new directory.
func linkSelf(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}
