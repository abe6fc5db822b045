package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"m2m-token-enricher/test/await"
)

// withoutUmask returns the plugin's command as Kong starts it: with a umask that
// takes nothing from the modes of new files.
func withoutUmask(args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `umask 0; exec "$0" "$@"`, binary}, args...)...)
}

// TestFilesDontRestOnTheUmask: other users can't open what the processes make,
// even without a umask.
func TestFilesDontRestOnTheUmask(t *testing.T) {
	dir := openDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{{"generate", path("keys.json")}, {"add", path("keys.json")}} {
		if out, err := withoutUmask(append([]string{"keys"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("keys %s: %v: %s", args[0], err, out)
		}
	}
	server := withoutUmask("-kong-prefix", dir, "-metrics", path("metrics.sock"), "-audit", path("audit.log"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
	}()
	want := map[string]fs.FileMode{
		"m2m-token-enricher.socket": 0o600 | fs.ModeSocket, "metrics.sock": 0o600 | fs.ModeSocket, "audit.log": 0o640, "keys.json": 0o600,
	}
	var got map[string]fs.FileMode
	await.Nil(t, func() (err error) {
		got, err = modes(dir)
		if there, all := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); err == nil && !slices.Equal(there, all) {
			err = fmt.Errorf("the directory has %v, not yet %v", there, all)
		}
		return err
	})
	for name, mode := range got {
		if mode != want[name] {
			t.Errorf("%s: mode %v, want %v", name, mode, want[name])
		}
	}
}

// modes returns the modes of everything below dir, by relative path. A directory
// exists for a moment while a socket is made.
func modes(dir string) (map[string]fs.FileMode, error) {
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[path[len(dir)+1:]] = info.Mode()
		}
		return err
	})
	return all, err
}
