package test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
)

// dumped is the config field as Kong reads it from the query command.
func dumped(t *testing.T) schema.Field {
	t.Helper()
	var document struct {
		Plugins []struct{ Schema schema.PluginSchema }
	}
	if err := json.Unmarshal([]byte(runProduct(t, "-dump")), &document); err != nil {
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

// TestKongYMLs: Kong's schema and the plugin's own rules accept every
// configuration that is shown.
func TestKongYMLs(t *testing.T) {
	config := dumped(t)
	files := map[string]string{"README.md": block(t, "README.md", "yaml")}
	for _, name := range []string{"kong.yml", "deploy/compose/kong.yml", "deploy/kubernetes/kong.yml"} {
		files[name] = read(t, name)
	}
	for name, text := range files {
		given := at(decodeText(t, name, text), pluginConfig).(map[string]any)
		if _, err := config.Complete("config", given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := schema.Parse(given); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigurationPage: the page lists each field of the schema with its default,
// and no other field.
func TestConfigurationPage(t *testing.T) {
	page := "docs/configuration.md"
	compare(t, "config", dumped(t), decodeText(t, page, block(t, page, "yaml")).(map[string]any))
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
			t.Errorf("%s on the page: got %v, want the default %v", at, value, sub.Default)
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

// TestKongConf: the README and the command's help show the same kong.conf.
func TestKongConf(t *testing.T) {
	help := runProduct(t, "-help")
	for name, value := range kongConf(t, "/usr/local/kong") {
		contains(t, "-help", help, "\n   "+name+" = "+value+"\n")
	}
}

// TestLinks: the files and headings that a page links to exist.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../README.md", "../SECURITY.md", "../CHANGELOG.md") {
		page := strings.TrimPrefix(path, "../")
		for _, m := range regexp.MustCompile(`\]\(([^)#]*)#?([^)]*)\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := filepath.Join(filepath.Dir(page), m[1])
			if m[1] == "" {
				target = page
			}
			if strings.HasPrefix(m[1], "http") {
				continue
			}
			exists(t, target)
			heading := regexp.MustCompile(`(?mi)^##+ \W*` + strings.ReplaceAll(m[2], "-", `\W+`) + `\W*$`)
			if m[2] != "" && !heading.MatchString(strings.ReplaceAll(read(t, target), "'", "")) {
				t.Errorf("%s links to #%s, which isn't a heading of %s", page, m[2], target)
			}
		}
	}
}
