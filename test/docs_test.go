package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns the first fenced block of language in a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, page), "\n```"+language+"\n")
	if !ok {
		t.Fatalf("%s has no %s block", page, language)
	}
	text, _, _ := strings.Cut(rest, "\n```")
	return text
}

// dumped is the config field as Kong reads it from the query command.
func dumped(t *testing.T) schema.Field {
	t.Helper()
	cmd := exec.Command("go", "run", "./cmd/m2m-token-enricher", "-dump")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Plugins []struct{ Schema schema.PluginSchema }
	}
	if err := json.Unmarshal(out, &document); err != nil {
		t.Fatal(err)
	}
	for _, f := range document.Plugins[0].Schema.Fields {
		if f.Name == "config" {
			return f
		}
	}
	t.Fatal("the dump has no config field")
	return schema.Field{}
}

// TestKongYMLs: every configuration that is shown is one that Kong's schema
// and the plugin's own rules accept.
func TestKongYMLs(t *testing.T) {
	config := dumped(t)
	for name, text := range map[string]string{"kong.yml": read(t, "kong.yml"), "README.md": block(t, "README.md", "yaml")} {
		var declared struct {
			Services []struct {
				Plugins []struct{ Config map[string]any }
			}
		}
		if err := yaml.Unmarshal([]byte(text), &declared); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		given := declared.Services[0].Plugins[0].Config
		if _, err := config.Complete("config", given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := schema.Parse(given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigurationPage: the page lists each field of the dump, no other, and
// with its default.
func TestConfigurationPage(t *testing.T) {
	var shown map[string]any
	if err := yaml.Unmarshal([]byte(block(t, "docs/configuration.md", "yaml")), &shown); err != nil {
		t.Fatal(err)
	}
	config := dumped(t)
	compare(t, "config", config, shown)
}

func compare(t *testing.T, path string, f schema.Field, shown map[string]any) {
	for _, sub := range f.Fields {
		at := path + "." + sub.Name
		value, ok := shown[sub.Name]
		if !ok {
			t.Errorf("%s isn't on the page", at)
			continue
		}
		delete(shown, sub.Name)
		if sub.Type == "record" {
			compare(t, at, sub, value.(map[string]any))
		} else if sub.Default != nil && !reflect.DeepEqual(value, sub.Default) {
			t.Errorf("%s: the page says %v, the default is %v", at, value, sub.Default)
		}
		if sub.Name == "claims" {
			all := map[string]any{}
			for _, claim := range value.([]any) {
				for name, v := range claim.(map[string]any) {
					all[name] = v
				}
			}
			compare(t, at+"[]", *sub.Elements, all)
		}
	}
	for name := range shown {
		t.Errorf("%s.%s is on the page, but not in the schema", path, name)
	}
}

// TestKongConf: what the README and the command itself say about kong.conf is
// the same.
func TestKongConf(t *testing.T) {
	var help bytes.Buffer
	cmd := exec.Command("go", "run", "./cmd/m2m-token-enricher", "-help")
	cmd.Dir, cmd.Stdout = "..", &help
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^(plugins|pluginserver_\w+) = .+$`).FindAllString(read(t, "README.md"), -1)
	if len(lines) != 5 {
		t.Errorf("the README's kong.conf has %d lines", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(help.String(), "\n   "+line+"\n") {
			t.Errorf("-help doesn't have %q", line)
		}
	}
}

// TestLinks: a page that the README or the docs point to is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, page := range []string{
		"README.md", "docs/configuration.md", "docs/outcomes.md", "docs/keys.md", "docs/performance.md", "docs/redis.md", "docs/sync.md", "docs/operate.md", "docs/deploy.md",
		"docs/verify.md", "docs/development.md", "SECURITY.md", "CHANGELOG.md",
	} {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.HasPrefix(m[1], "http") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestAdvice: what the commands say to do about an outcome is what the page
// says.
func TestAdvice(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| ([^|]+) \\|$").FindAllStringSubmatch(read(t, "docs/outcomes.md"), -1)
	if len(rows) < 20 {
		t.Fatalf("the page has %d outcomes", len(rows))
	}
	for _, row := range rows {
		if got := enrich.Outcome(row[1]).Advice(); got != row[2] {
			t.Errorf("%s: the command says %q, the page %q", row[1], got, row[2])
		}
	}
}
