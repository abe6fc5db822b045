package bundle

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evanw/esbuild/pkg/api"

	"m2m-token-enricher/schema"
)

// What esbuild says of imports. The tests hold these to its version.
var (
	unresolved = regexp.MustCompile(`^Could not resolve "(.*)"$`)
	noExport   = regexp.MustCompile(`^No matching export in "(.*)" for import "(.*)"$`)
	undefined  = regexp.MustCompile(`^Import "(.*)" will always be undefined because there is no matching export in "(.*)"$`)
)

// nodeModules are Node's own, which a workflow doesn't have.
var nodeModules = strings.Fields(`assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns
	domain events fs http http2 https inspector net os path perf_hooks process punycode querystring readline repl sqlite stream
	string_decoder sys test timers tls trace_events tty v8 vm wasi worker_threads zlib`)

// insteadOf is what a workflow uses for one of Node's modules.
var insteadOf = map[string]string{
	"fs": "import a .json file of the repository", "process": "use getEnvironmentVariable of " + Library,
	"http": "use fetch of " + Library, "https": "use fetch of " + Library, "http2": "use fetch of " + Library, "net": "use fetch of " + Library,
	"querystring": `use URLSearchParams`,
}

// explain says what a message of esbuild means for a workflow.
func (r repository) explain(message api.Message) string {
	if message.PluginName == "workflow" {
		return message.Text
	}
	if m := unresolved.FindStringSubmatch(message.Text); m != nil {
		return r.explainImport(m[1])
	}
	if m := noExport.FindStringSubmatch(message.Text); m != nil {
		return r.explainName(m[1], m[2])
	}
	if m := undefined.FindStringSubmatch(message.Text); m != nil {
		return r.explainName(m[2], m[1])
	}
	first, size := utf8.DecodeRuneInString(message.Text)
	return string(unicode.ToLower(first)) + message.Text[size:]
}

// explainImport says why nothing is found for the name of an import.
func (r repository) explainImport(name string) string {
	if isPath(name) {
		return fmt.Sprintf("there is no file %q", name)
	}
	if alias.MatchString(name) {
		return fmt.Sprintf("%q is no package, and aliases of a tsconfig.json aren't read: write the file's path, such as \"../lib/plans\"", name)
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(name, "node:"), "/")
	if slices.Contains(nodeModules, top) || strings.HasPrefix(name, "node:") {
		text := fmt.Sprintf("%q is a module of Node, which a workflow doesn't have", name)
		if instead := insteadOf[top]; instead != "" {
			text += "; " + instead
		}
		return text
	}
	if near := schema.DidYouMean(name, []string{Library}); near != "" {
		return fmt.Sprintf("there is no package %q%s", name, near)
	}
	return fmt.Sprintf("the package %q isn't installed: run npm install in %s", packageOf(name), r.shown)
}

// alias matches a name that no package of npm can have, and that people give to
// folders of their repository.
var alias = regexp.MustCompile(`^(@|~|#|\$)/|^[~#$]`)

// packageOf returns the package of an import such as "lodash/get" or "@acme/claims/m2m".
func packageOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	if strings.HasPrefix(name, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// explainName says that a file or a package doesn't export a name.
func (r repository) explainName(source, name string) string {
	namespace, path := namespaceOf(source)
	if namespace == libraryNamespace || strings.Contains(source, "node_modules/"+Library+"/") {
		return fmt.Sprintf("%s has no %q%s", Library, name, schema.DidYouMean(name, libraryNames))
	}
	return fmt.Sprintf("%s exports no %q", r.shownSource(namespace, path), name)
}
