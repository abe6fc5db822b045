// Package bundle finds the file of a Kinde workflow, bundles it with the code
// that it imports, and checks it without running it. Errors say where they are:
// file:line:column, as the author wrote the file.
//
// A bundle is a CommonJS program: it sets module.exports, whose default is the
// workflow's function. It expects these globals of the runtime: module and
// exports, as CommonJS has them; kinde with the bindings; url and util, which are
// what an import of "url" and of "util" gets; console.
package bundle

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"
)

const maxOutput = 1 << 20 // bytes of a bundle

// Bundle is a workflow's file with all that it imports. Safe for concurrent use.
type Bundle struct {
	File    string        // the workflow's file, for people: relative if it is in the working folder
	Program *goja.Program // to be run in a new runtime for each event
	Text    string        // of the program

	repository repository
	entry      string
}

// Build bundles and compiles a workflow's file. It reads only code and JSON in
// the file's repository and in its node_modules. The error has every mistake.
func Build(file string) (*Bundle, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	r, err := repositoryOf(file)
	if err != nil {
		return nil, fmt.Errorf("the workflow can't be read: %w", err)
	}
	entry, err := r.locate(file)
	if err != nil {
		return nil, err
	}
	out, err := r.compose(entry, api.ES2019, false)
	if err != nil {
		return nil, err
	}
	program, err := out.compile()
	if err != nil {
		return nil, err
	}
	return &Bundle{File: r.show(entry), Program: program, Text: string(out.code), repository: r, entry: entry}, nil
}

// compose runs esbuild. With alone, packages stay outside of the bundle.
func (r repository) compose(entry string, target api.Target, alone bool) (output, error) {
	plugin := (&loading{repository: r, alone: alone}).plugin()
	options := api.BuildOptions{
		EntryPoints: []string{entry}, Outfile: filepath.Join(r.root, "workflow.js"), AbsWorkingDir: r.root, Bundle: true,
		Plugins: []api.Plugin{plugin}, TsconfigRaw: "{}", // a tsconfig.json isn't read
		Format: api.FormatESModule, Target: target, Charset: api.CharsetASCII, // so that columns are the same in bytes and in characters
		Supported: map[string]bool{"dynamic-import": false, "async-generator": false, "for-await": false}, // goja lacks them
		Platform:  api.PlatformNeutral, MainFields: []string{"module", "main"}, Conditions: []string{"module", "browser"},
		ResolveExtensions: []string{".tsx", ".ts", ".jsx", ".js", ".mjs", ".cjs", ".json"}, JSX: api.JSXAutomatic,
		Define:    map[string]string{"process.env.NODE_ENV": `"production"`},
		Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude,
		LegalComments: api.LegalCommentsNone, TreeShaking: api.TreeShakingTrue, LogLevel: api.LogLevelSilent,
	}
	if alone {
		options.Format = api.FormatCommonJS // which [reader] understands
	}
	result := api.Build(options)
	if err := r.mistakes(result); err != nil {
		return output{}, err
	}
	out := output{repository: r}
	for _, file := range result.OutputFiles {
		if filepath.Ext(file.Path) == ".map" {
			out.sourceMap = file.Contents
		} else {
			out.code = file.Contents
		}
	}
	if !alone {
		out.code = exported.ReplaceAllFunc(out.code, toCommonJS)
	}
	if len(out.code) > maxOutput {
		return output{}, fmt.Errorf("%s: the bundle has %d KiB, want at most %d: import less", r.show(entry), len(out.code)>>10, maxOutput>>10)
	}
	return out, nil
}

// exported matches the exports of an ECMAScript module, at its end: names, or those
// of a CommonJS module.
var exported = regexp.MustCompile(`(?:export \{[^{}]*\};|export default [\w$]+\(\);)\n*$`)

// toCommonJS writes exports as CommonJS has them. What esbuild writes itself for that
// takes a tenth of an event's time, because it keeps them up to date.
func toCommonJS(exports []byte) []byte {
	text := strings.TrimSpace(string(exports))
	if value, ok := strings.CutPrefix(text, "export default "); ok {
		return []byte("module.exports = " + value + "\n")
	}
	var members []string
	for name := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(text, "export"), " {};"), ",") {
		local, as, renamed := strings.Cut(strings.TrimSpace(name), " as ")
		if !renamed {
			as = local
		}
		if local != "" {
			members = append(members, as+": "+local)
		}
	}
	return []byte("module.exports = { " + strings.Join(members, ", ") + " };\n")
}

// output is what esbuild makes.
type output struct {
	repository      repository
	code, sourceMap []byte
}

// compile compiles the code. Its positions, also those of errors when it runs,
// are those of the files that it was made of.
func (o output) compile() (*goja.Program, error) {
	positions, err := o.positions()
	if err != nil {
		return nil, err
	}
	program, err := goja.Parse(positions.name, string(o.code)+"\n//# sourceMappingURL=workflow.js.map\n",
		parser.WithSourceMapLoader(func(string) ([]byte, error) { return positions.sourceMap, nil }))
	if err != nil {
		return nil, positions.syntaxError(err)
	}
	return compile(program, positions)
}

func compile(program *ast.Program, positions *positions) (compiled *goja.Program, err error) {
	compiled, err = goja.CompileAST(program, false)
	if e := (*goja.CompilerSyntaxError)(nil); errors.As(err, &e) {
		return nil, positions.at(e.Offset, "syntax error: "+e.Message)
	}
	return compiled, err
}
