package redistest

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// The users that docs/redis.md sets up.
const (
	Reader         = "m2m" // the plugin's
	ReaderPassword = "reader-password"
	Writer         = "m2m-writer"
	WriterPassword = "writer-password"
)

// ACL returns the rules that docs/redis.md gives the user called name, as the
// arguments of ACL SETUSER and of redis-server --user are: name first.
func ACL(tb testing.TB, name string) []string {
	tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	page, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../docs/redis.md"))
	if err != nil {
		tb.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^redis-cli .*ACL SETUSER (` + name + ` .*)$`).FindSubmatch(page)
	if line == nil {
		tb.Fatalf("docs/redis.md sets up no user %s", name)
	}
	unquoted := strings.NewReplacer(`'`, "", `\`, "").Replace(string(line[1]))
	return strings.Fields(unquoted)
}

// WithUser returns the arguments with which a server has the user called name,
// over restarts too.
func WithUser(tb testing.TB, name string) []string {
	tb.Helper()
	return append([]string{"--user"}, ACL(tb, name)...)
}
