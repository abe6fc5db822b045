package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNesting: what would end the process in a parser, or take minutes, is
// refused before.
func TestNesting(t *testing.T) {
	many := func(text string) string { return "export default () => " + strings.Repeat(text, 60000/len(text)) }
	for name, test := range map[string]struct{ text, want string }{
		"brackets":          {many("["), "brackets and arrows in each other"},
		"lines":             {many("(\n"), "line 500 of the file has more than 500 brackets"},
		"arrows":            {many("a=>"), "brackets and arrows in each other"},
		"arrows and blocks": {many("a=>{"), "brackets and arrows in each other"},
		"behind a quote":    {many("/'/;(["), "brackets and arrows in each other"},
		"one after another": {many("(()=>{})();") + "1", ""},
		"in a text":         {"export default () => '" + strings.Repeat("(", 1000) + "'", ""},
		"large":             {"export default () => 1 //" + strings.Repeat("x", 64<<10), "more than 64 KiB of code"},
		"signs":             {many("!") + "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "w.js")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Build(file)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzBuild: whatever a file has, Build and Check return, and nothing of a file
// beside the repository gets into the bundle or the error.
func FuzzBuild(f *testing.F) {
	for _, text := range []string{
		"export default () => 1", "import x from '../secret.json'\nx()", "require('../' + 'secret.json')", "import(`../${x}.json`)",
		"export default ({ a: { b = c } }, [d], ...e) => eval(a?.b)", "<a>{...b}</a>", "class A { #b = 1; static { c } }", "export * from '@kinde/infrastructure'",
		"new URL('../secret.json', import.meta.url)", "import x from '../secret.json' with { type: 'text' }", "//# sourceMappingURL=../secret.json",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := repositoryWith(t, "-- secret.json --\n\"7cb2f0e1\"\n-- inside/kinde.json --\n{}\n")
		file := filepath.Join(dir, "inside", "w.tsx")
		if strings.Contains(text, "7cb2f0e1") || os.WriteFile(file, []byte(text), 0o600) != nil {
			t.Skip()
		}
		b, err := Build(file)
		if err == nil {
			if strings.Contains(b.Text, "7cb2f0e1") {
				t.Errorf("got the other file's text in the bundle of %q", text)
			}
			err = b.Check(nil, checkClaim)
		}
		if err != nil && strings.Contains(err.Error(), "7cb2f0e1") {
			t.Errorf("got the other file's text in %v", err)
		}
	})
}
