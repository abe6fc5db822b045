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
	Purger         = "m2m-purger"
	PurgerPassword = "purger-password"
)

// ACL returns the rules that docs/redis.md gives the user called name, as the
// arguments of ACL SETUSER and of redis-server --user are: name first.
func ACL(tb testing.TB, name string) []string {
	tb.Helper()
	return acls(tb, name)[0]
}

// SharingACL returns the rules of the plugin's user with reuse.shared.
func SharingACL(tb testing.TB) []string {
	tb.Helper()
	all := acls(tb, Reader)
	if len(all) != 2 {
		tb.Fatalf("docs/redis.md gives the user %s rights %d times, want 2", Reader, len(all))
	}
	return append(all[0], all[1][1:]...)
}

// acls returns the rules of each command for the user called name.
func acls(tb testing.TB, name string) (all [][]string) {
	tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	page, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../docs/redis.md"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^redis-cli .*ACL SETUSER (`+name+` .*)$`).FindAllSubmatch(page, -1) {
		unquoted := strings.NewReplacer(`'`, "", `\`, "").Replace(string(line[1]))
		all = append(all, strings.Fields(unquoted))
	}
	if len(all) == 0 {
		tb.Fatalf("docs/redis.md sets up no user %s", name)
	}
	return all
}

// WithUser returns the arguments with which a server has the user called name,
// over restarts too.
func WithUser(tb testing.TB, name string) []string {
	tb.Helper()
	return append([]string{"--user"}, ACL(tb, name)...)
}
