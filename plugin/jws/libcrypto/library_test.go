package libcrypto

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// testLibrary is the machine's libcrypto. That of a test has keys of its own
// to count.
func testLibrary(t testing.TB) *Library {
	t.Helper()
	l, err := Open()
	switch {
	case err == nil:
		return l
	case errors.Is(err, ErrUnsupported) || os.Getenv("CI") == "":
		t.Skip(err)
	}
	t.Fatal(err)
	return nil
}

func TestString(t *testing.T) {
	l := testLibrary(t)
	version, path, _ := strings.Cut(strings.TrimSuffix(l.String(), ")"), " (")
	if !strings.HasPrefix(version, "OpenSSL 3.") || (path != KongPath && !slices.Contains(SystemPaths, path)) {
		t.Errorf("String = %q, want OpenSSL 3 at one of the known places", l)
	}
}

func TestOpenRefuses(t *testing.T) {
	testLibrary(t)
	const soname = "libcrypto.so.3"
	dir, whole := t.TempDir(), built(t, soname, `char text[100000] = "a library";`)
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, path, want string }{
		{"missing", dir + "/libcrypto.so.3", "no such file"},
		{"directory", dir, "is a directory"},
		{"empty", file("empty", ""), "EOF"},
		{"text", file("text", strings.Repeat("not a library\n", 1000)), "bad magic number"},
		{"header only", file("elf", "\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 57)), "version"},
		{"cut off", file("cut", cutOff(t, whole)), "not a whole library"},
		{"a program", "/proc/self/exe", "it isn't OpenSSL 3"},
		{"another name", built(t, "libcrypto.so.1.1", `unsigned long OpenSSL_version_num(void) { return 0x30000130L; }`), `its name is ["libcrypto.so.1.1"]`},
		{"another library", built(t, "libother.so.1", ""), "it isn't OpenSSL 3"},
		{"OpenSSL 1.1", built(t, soname, `unsigned long OpenSSL_version_num(void) { return 0x1010117fL; }`), "version number is 0x1010117f"},
		{"OpenSSL 4", built(t, soname, `unsigned long OpenSSL_version_num(void) { return 0x40000000L; }`), "version number is 0x40000000"},
		{"a part of it", built(t, soname, `unsigned long OpenSSL_version_num(void) { return 0x30000130L; }`), "undefined symbol: OpenSSL_version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Open(c.path)
			if l != nil || err == nil {
				t.Fatalf("Open = %v, %v, want an error", l, err)
			}
			if text := err.Error(); !strings.Contains(text, c.path) || !strings.Contains(text, c.want) {
				t.Errorf("Open = %q, want %q and %q in it", text, c.path, c.want)
			}
		})
	}
}

// built returns a library of the name soname and the source text.
func built(t *testing.T, soname, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libcrypto.so.3")
	cmd := exec.Command("cc", "-shared", "-fPIC", "-Wl,-soname,"+soname, "-o", path, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("no C compiler: %v: %s", err, out)
	}
	return path
}

// cutOff returns a half of the file at path.
func cutOff(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content[:len(content)/2])
}

// TestOpenWithoutALinker: a build without the tag says how to get one.
func TestOpenWithoutALinker(t *testing.T) {
	l, err := Open("/nowhere")
	if errors.Is(err, ErrUnsupported) != (l == nil && !strings.Contains(err.Error(), "/nowhere")) {
		t.Errorf("Open = %v, %v, want ErrUnsupported or an error about the path", l, err)
	}
}

// TestThreads: keys can be used at the same time, and operations that wait for
// their turn occupy no threads.
func TestThreads(t *testing.T) {
	l := testLibrary(t)
	keys := []*privateKey{testKey(t, l, 2048), testKey(t, l, 2048), testKey(t, l, 3072)}
	before := threads(t)
	var next atomic.Int32
	if err := inParallel(600, func() error { return signOnce(keys[int(next.Add(1))%len(keys)]) }); err != nil {
		t.Error(err)
	}
	if more := threads(t) - before; more > 4*runtime.GOMAXPROCS(0) {
		t.Errorf("%d threads more, want at most %d", more, 4*runtime.GOMAXPROCS(0))
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
