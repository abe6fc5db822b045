package bundle

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/evanw/esbuild/pkg/api"
)

// standIn is the library for repositories in which it isn't installed.
//
//go:embed library.js
var standIn string

// withAliases is the installed library. Its README and pages call m2mTokenClaims
// by two more names.
const withAliases = `import * as library from %[1]q
export * from %[1]q
export const m2mTokenCustomClaims = library.m2mTokenClaims
export const m2mCustomClaims = library.m2mTokenClaims
`

// natives are the modules of the runtime, by the name of an import.
var natives = map[string]string{
	"url":    "module.exports = globalThis.url",
	"util":   "module.exports = globalThis.util",
	"module": "module.exports = {}",
}

// libraryNames are what the library exports.
var libraryNames = func() (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^export const (\w+)`).FindAllStringSubmatch(standIn, -1) {
		names = append(names, m[1])
	}
	return names
}()

// loading is a build's way to the files.
type loading struct {
	repository
	alone       bool         // packages stay outside
	files, size atomic.Int64 // esbuild loads in parallel
}

func (l *loading) plugin() api.Plugin {
	return api.Plugin{Name: "workflow", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			return l.resolve(build, args)
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: libraryNamespace}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			text := standIn
			if args.Path != Library {
				text = fmt.Sprintf(withAliases, args.Path)
			}
			return api.OnLoadResult{Contents: &text, ResolveDir: l.root, Loader: api.LoaderJS}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: nativeNamespace}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			text := natives[args.Path]
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "file"}, l.load)
	}}
}

// again marks the questions that resolve asks itself.
type again struct{}

// resolve finds what an import names. Where it returns nothing, esbuild searches
// as Node does.
func (l *loading) resolve(build api.PluginBuild, args api.OnResolveArgs) (none api.OnResolveResult, err error) {
	if _, ok := args.PluginData.(again); ok || args.Namespace == libraryNamespace {
		return none, nil
	}
	name := strings.TrimPrefix(args.Path, "node:")
	if _, ok := natives[name]; ok {
		return api.OnResolveResult{Path: name, Namespace: nativeNamespace}, nil
	}
	if strings.Contains(args.Path, "://") || strings.HasPrefix(args.Path, "//") {
		return none, fmt.Errorf("%q is on the network: a workflow is made only of files in its repository and of packages in its node_modules", args.Path)
	}
	if l.alone && args.Kind != api.ResolveEntryPoint && !isPath(args.Path) {
		return api.OnResolveResult{Path: args.Path, External: true}, nil
	}
	if args.Path != Library {
		return none, nil
	}
	found := build.Resolve(Library, api.ResolveOptions{Importer: args.Importer, Namespace: args.Namespace, ResolveDir: args.ResolveDir, Kind: args.Kind, PluginData: again{}})
	if len(found.Errors) > 0 || found.Namespace != "file" {
		return api.OnResolveResult{Path: Library, Namespace: libraryNamespace}, nil
	}
	return api.OnResolveResult{Path: found.Path, Namespace: libraryNamespace}, nil
}

// load reads a file, if a workflow may use it.
func (l *loading) load(args api.OnLoadArgs) (none api.OnLoadResult, err error) {
	real, err := l.locate(args.Path)
	if err != nil {
		return none, err
	}
	content, err := readFile(real)
	if err != nil {
		return none, err
	}
	if err := checkNesting(real, content); err != nil {
		return none, fmt.Errorf("%s: %w", l.show(real), err)
	}
	switch {
	case l.files.Add(1) > maxFiles:
		return none, fmt.Errorf("the workflow imports more than %d files", maxFiles)
	case l.size.Add(int64(len(content))) > maxInputs:
		return none, fmt.Errorf("the files that the workflow imports have more than %d MiB", maxInputs>>20)
	}
	text := string(content)
	return api.OnLoadResult{Contents: &text, Loader: loaders[extension(real)]}, nil
}
