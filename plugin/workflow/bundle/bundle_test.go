package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dop251/goja"
	"golang.org/x/tools/txtar"
)

// repositoryWith returns a folder with the files of a txtar archive.
func repositoryWith(t testing.TB, archive string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run returns what the default export of a bundle returns for an empty event.
func run(t *testing.T, b *Bundle) any {
	t.Helper()
	vm := goja.New()
	if _, err := vm.RunString(`var module = {exports: {}}, exports = module.exports, kinde = {}, url = {URL: "the runtime's"}, util = {inspect: "the runtime's"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.RunProgram(b.Program); err != nil {
		t.Fatal(err)
	}
	result, err := vm.RunString("module.exports.default({})")
	if err != nil {
		t.Fatal(err)
	}
	if promise, ok := result.Export().(*goja.Promise); ok {
		result = promise.Result()
	}
	return result.Export()
}

func TestBuild(t *testing.T) {
	for name, archive := range map[string]string{
		"TypeScript":             "-- w.ts --\nexport default (event: object): string => 'ok'",
		"TSX":                    "-- w.tsx --\nconst one = <T,>(x: T) => x\nexport default () => one('ok')",
		"JavaScript":             "-- w.js --\nexport default async () => (await null) ?? 'ok'",
		"JSX":                    "-- w.jsx --\nexport default () => 'ok'",
		"CommonJS":               "-- w.js --\nmodule.exports = {default: () => require('./value.cjs')}\n-- value.cjs --\nmodule.exports = 'ok'",
		"names of exports":       "-- w.ts --\nfunction f() { return $a }\nlet $a = 'not'\n$a = 'ok'\nexport { f as default, f as new, $a }",
		"all of CommonJS":        "-- w.js --\nexport * from './value.cjs'\nexport { default } from './value.cjs'\n-- value.cjs --\nexports.default = () => 'ok'\nexports.__esModule = true",
		"a changed export":       "-- w.ts --\nexport let f = () => 'not'\nf = () => 'ok'\nexport { f as default }",
		"an export of an export": "-- w.ts --\nexport { f as default } from './x'\n-- x.ts --\nexport const f = () => 'ok'",
		"JSON":                   "-- w.ts --\nimport plans from './plans.json'\nexport default () => plans.gold\n-- plans.json --\n{\"gold\": \"ok\"}",
		"package": "-- w.ts --\nimport { ok } from 'acme'\nexport default () => ok\n-- node_modules/acme/package.json --\n{\"main\": \"m.js\"}\n" +
			"-- node_modules/acme/m.js --\nexports.ok = 'ok'",
		"module rather than main": "-- w.ts --\nimport { ok } from 'acme'\nexport default () => ok\n-- node_modules/acme/package.json --\n{\"main\": \"m.js\", \"module\": \"e.js\"}\n" +
			"-- node_modules/acme/m.js --\nexports.ok = 'not'\n-- node_modules/acme/e.js --\nexport const ok = 'ok'",
		"types of a package that isn't installed": "-- w.ts --\nimport type { A } from 'acme'\nimport { B } from 'other'\nexport default (a?: A, b?: B) => 'ok'",
		"the library's stand-in":                  "-- w.ts --\nimport { WorkflowTrigger, m2mTokenClaims, m2mCustomClaims, m2mTokenCustomClaims } from '@kinde/infrastructure'\nexport default () => WorkflowTrigger.M2MTokenGeneration && m2mTokenClaims == m2mCustomClaims && m2mTokenClaims == m2mTokenCustomClaims && 'ok'",
		"the installed library": "-- w.ts --\nimport { own, m2mTokenClaims, m2mCustomClaims, m2mTokenCustomClaims } from '@kinde/infrastructure'\n" +
			"export default () => m2mTokenClaims == m2mCustomClaims && m2mTokenClaims == m2mTokenCustomClaims && own\n" +
			"-- node_modules/@kinde/infrastructure/package.json --\n{\"module\": \"m.js\"}\n-- node_modules/@kinde/infrastructure/m.js --\nexport const own = 'ok'\nexport function m2mTokenClaims() {}",
		"an installed library in CommonJS": "-- w.ts --\nimport { own, m2mTokenClaims, m2mCustomClaims } from '@kinde/infrastructure'\nexport default () => m2mTokenClaims == m2mCustomClaims && own\n" +
			"-- node_modules/@kinde/infrastructure/index.js --\nexports.own = 'ok'\nexports.m2mTokenClaims = () => {}",
		"url and util":                       "-- w.ts --\nimport { URL } from 'url'\nimport util from 'node:util'\nexport default () => URL == util.inspect && 'ok'",
		"a hoisted package":                  "-- apps/kinde/kinde.json --\n{}\n-- apps/kinde/w.ts --\nexport { default } from 'acme'\n-- node_modules/acme/index.js --\nexport default () => 'ok'",
		"async generators":                   "-- w.ts --\nasync function* all() { yield 'ok' }\nexport default async () => { for await (const one of all()) return one }",
		"classes":                            "-- w.ts --\nclass A { #x = 'ok'; static y = 1; get x() { return this.#x } }\nexport default () => new A().x",
		"an optional dependency":             "-- w.ts --\nimport { ok } from 'acme'\nexport default () => ok\n-- node_modules/acme/index.js --\ntry { require('crypto') } catch { exports.ok = 'ok' }",
		"a tsconfig.json that doesn't count": "-- tsconfig.json --\n{\"extends\": \"/nowhere.json\", \"compilerOptions\": {\"baseUrl\": \"x\", \"target\": \"ES3\"}}\n-- w.ts --\nexport default () => 'ok'",
		"letters beyond ASCII":               "-- w.ts --\nconst größe = 'ö'.length\nexport default () => größe == 1 && 'ok'",
	} {
		t.Run(name, func(t *testing.T) {
			dir := repositoryWith(t, archive)
			files, err := filepath.Glob(filepath.Join(dir, "w.*"))
			if len(files) == 0 {
				files, err = filepath.Glob(filepath.Join(dir, "*/*/w.*"))
			}
			if err != nil || len(files) == 0 {
				t.Fatal("no file", err)
			}
			b, err := Build(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, b); got != "ok" {
				t.Errorf("got %v, want ok", got)
			}
		})
	}
}

// TestBuildErrors: each error is at its place.
func TestBuildErrors(t *testing.T) {
	for name, test := range map[string]struct{ archive, want string }{
		"syntax":                 {"-- w.ts --\nexport default () => {\n  let 1\n}", "DIR/w.ts:2:7: expected \";\" but found \"1\""},
		"syntax of an import":    {"-- w.ts --\nimport './a'\n-- a.ts --\nx y", "DIR/a.ts:1:3: expected \";\" but found \"y\""},
		"after a wide character": {"-- w.ts --\nconst x = 'öä'; y z", "DIR/w.ts:1:19: expected \";\" but found \"z\""},
		"unknown package":        {"-- w.ts --\nimport x from 'acme/x'\nx()", `DIR/w.ts:1:15: the package "acme" isn't installed: run npm install in DIR`},
		"alias of a tsconfig":    {"-- w.ts --\nimport x from '@/lib/x'\nx()", `DIR/w.ts:1:15: "@/lib/x" is no package, and aliases of a tsconfig.json aren't read: write the file's path, such as "../lib/plans"`},
		"unknown scoped package": {"-- w.ts --\nimport x from '@acme/x/y'\nx()", `DIR/w.ts:1:15: the package "@acme/x" isn't installed: run npm install in DIR`},
		"misspelt library":       {"-- w.ts --\nimport x from '@kinde/infrastucture'\nx()", `DIR/w.ts:1:15: there is no package "@kinde/infrastucture"; did you mean "@kinde/infrastructure"?`},
		"Node's fs":              {"-- w.ts --\nimport x from 'fs/promises'\nx()", `DIR/w.ts:1:15: "fs/promises" is a module of Node, which a workflow doesn't have; import a .json file of the repository`},
		"Node's crypto":          {"-- w.ts --\nimport x from 'node:crypto'\nx()", `DIR/w.ts:1:15: "node:crypto" is a module of Node, which a workflow doesn't have`},
		"missing file":           {"-- w.ts --\nimport x from './x'\nx()", `DIR/w.ts:1:15: there is no file "./x"`},
		"network":                {"-- w.ts --\nimport x from 'https://example.com/x.js'\nx()", `DIR/w.ts:1:15: "https://example.com/x.js" is on the network: a workflow is made only of files in its repository and of packages in its node_modules`},
		"name of the library":    {"-- w.ts --\nimport { m2mTokenClaim } from '@kinde/infrastructure'\nm2mTokenClaim()", `DIR/w.ts:1:10: @kinde/infrastructure has no "m2mTokenClaim"; did you mean "m2mTokenClaims"?`},
		"member of the library":  {"-- w.ts --\nimport * as k from '@kinde/infrastructure'\nexport default () => k.m2mTokenClaim()", `DIR/w.ts:2:24: @kinde/infrastructure has no "m2mTokenClaim"; did you mean "m2mTokenClaims"?`},
		"name of a file":         {"-- w.ts --\nimport { x } from './x'\nx()\n-- x.ts --\nexport const y = 1", `DIR/w.ts:1:10: DIR/x.ts exports no "x"`},
		"two at once":            {"-- w.ts --\nimport x from './x'\nimport y from 'acme'\nx(y)", "DIR/w.ts:1:15: there is no file \"./x\"\nDIR/w.ts:2:15: the package \"acme\" isn't installed: run npm install in DIR"},
		"text":                   {"-- w.ts --\nimport x from './x.txt'\nx()\n-- x.txt --\nsecret", "DIR/w.ts:1:15: DIR/x.txt can't be a part of a workflow: want .ts, .tsx, .js, .jsx, .mjs, .cjs or .json"},
		"text with an attribute": {"-- w.ts --\nimport x from './x.txt' with { type: 'text' }\nx()\n-- x.txt --\nsecret", "DIR/w.ts:1:15: DIR/x.txt can't be a part of a workflow: want .ts, .tsx, .js, .jsx, .mjs, .cjs or .json"},
		"above the repository":   {"-- secret.json --\n{}\n-- r/kinde.json --\n{}\n-- r/w.ts --\nimport x from '../secret.json'\nx()", "DIR/r/w.ts:1:15: DIR/secret.json is outside of the repository DIR/r: a workflow is made only of files in it and of packages in its node_modules"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repositoryWith(t, test.archive)
			file := filepath.Join(dir, "w.ts")
			if _, err := os.Stat(file); err != nil {
				file = filepath.Join(dir, "r/w.ts")
			}
			_, err := Build(file)
			if err == nil {
				t.Fatalf("got no error, want %s", test.want)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
