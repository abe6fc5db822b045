package bundle

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// checkClaim refuses two names, as a configuration does.
func checkClaim(name string) error {
	switch name {
	case "sub":
		return fmt.Errorf("%q is reserved for the provider; choose another name", name)
	case "permissions":
		return fmt.Errorf("%q decides what a caller may do; set allow_authorization_claims to allow it", name)
	}
	return nil
}

// checked returns what Check says of a file, without the folder's name.
func checked(t *testing.T, archive string, bindings ...string) string {
	t.Helper()
	dir := repositoryWith(t, archive)
	files, err := filepath.Glob(filepath.Join(dir, "w.*"))
	if err != nil || len(files) != 1 {
		t.Fatal("want one file called w", err)
	}
	b, err := Build(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(bindings, checkClaim); err != nil {
		return strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	return ""
}

func TestCheckBindings(t *testing.T) {
	const from = "} from '@kinde/infrastructure'\nexport default async (event) => "
	for name, test := range map[string]struct{ text, want string }{
		"declared":                   {"export default () => kinde.m2mToken.setCustomClaim('a', 1)", ""},
		"cache":                      {"export default () => kinde.cache.jwtToken('a', {})", ""},
		"not declared":               {"export default () => kinde.fetch('a')", `w.js:1:22: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"with a literal":             {"export default () => kinde['fetch']('a')", `w.js:1:22: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"taken apart":                {"export default () => { const { fetch: f } = kinde; f('a') }", `w.js:1:32: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"under another name":         {"export default () => { const k = kinde\n return k.fetch('a') }", `w.js:2:9: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"of the global":              {"export default () => globalThis.kinde.fetch('a')", `w.js:1:22: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"optional":                   {"export default () => kinde?.fetch?.('a')", `w.js:1:22: kinde.fetch isn't declared: add "kinde.fetch" to bindings in workflowSettings`},
		"misspelt":                   {"export default () => kinde.m2mTokn.x()", `w.js:1:22: there is no kinde.m2mTokn; did you mean "kinde.m2mToken"?`},
		"of another trigger":         {"export default () => kinde.idToken.x()", `w.js:1:22: kinde.idToken isn't for M2M tokens`},
		"another kinde":              {"export default () => { const kinde = { fetch() {} }; return kinde.fetch() }", ""},
		"a parameter kinde":          {"const f = (kinde) => kinde.fetch()\nexport default (event) => f({ fetch() {} })", ""},
		"fetch":                      {"import { fetch " + from + "await fetch('a', {})", `w.js:2:39: fetch needs the binding kinde.fetch: add "kinde.fetch" to bindings in workflowSettings`},
		"fetch, renamed":             {"import { fetch as get " + from + "await get('a', {})", `w.js:2:39: fetch needs the binding kinde.fetch: add "kinde.fetch" to bindings in workflowSettings`},
		"claims":                     {"import { m2mCustomClaims " + from + "{ m2mCustomClaims().a = 1 }", ""},
		"variable":                   {"import { getEnvironmentVariable as env " + from + "env('A')", `w.js:2:33: getEnvironmentVariable needs the binding kinde.env: add "kinde.env" to bindings in workflowSettings`},
		"secureFetch":                {"import { secureFetch " + from + "await secureFetch('a', {})", `w.js:2:39: secureFetch needs the binding kinde.secureFetch: add "kinde.secureFetch" to bindings in workflowSettings`},
		"a namespace":                {"import * as lib from '@kinde/infrastructure'\nexport default () => lib.getEnvironmentVariable('A')", `w.js:2:26: getEnvironmentVariable needs the binding kinde.env: add "kinde.env" to bindings in workflowSettings`},
		"require":                    {"const { getEnvironmentVariable } = require('@kinde/infrastructure')\nexports.default = () => getEnvironmentVariable('A')", `w.js:1:9: getEnvironmentVariable needs the binding kinde.env: add "kinde.env" to bindings in workflowSettings`},
		"createKindeAPI":             {"import { createKindeAPI " + from + "await createKindeAPI(event)", "w.js:2:39: createKindeAPI needs the binding kinde.fetch: add \"kinde.fetch\" to bindings in workflowSettings\nw.js:2:39: createKindeAPI needs the binding kinde.env: add \"kinde.env\" to bindings in workflowSettings"},
		"of another page":            {"import { denyAccess " + from + "denyAccess('no')", "w.js:2:33: denyAccess isn't for M2M tokens"},
		"the global fetch":           {"export default () => fetch('a')", "w.js:1:22: fetch doesn't exist in a workflow: use fetch of @kinde/infrastructure"},
		"a function that isn't used": {"function old() { kinde.fetch('a') }\nexport default () => 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checked(t, "-- w.js --\n"+test.text, "kinde.m2mToken"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestCheckClaims(t *testing.T) {
	const (
		claims   = "import { m2mTokenClaims } from '@kinde/infrastructure'\nexport default async (event) => {\n"
		reserved = `claim "sub" is reserved for the provider; choose another name`
	)
	for name, test := range map[string]struct{ text, want string }{
		"other names":            {claims + "m2mTokenClaims().a = 1; kinde.m2mToken.setCustomClaim('b', 1) }", ""},
		"a call":                 {"export default () => kinde.m2mToken.setCustomClaim('sub', 1)", "w.ts:1:52: " + reserved},
		"a template":             {"export default () => kinde.m2mToken.setCustomClaim(`sub`, 1)", "w.ts:1:52: " + reserved},
		"a constant":             {"const name = 'sub'\nexport default () => kinde.m2mToken.setCustomClaim(name, 1)", "w.ts:2:52: " + reserved},
		"a variable":             {"let name = 'sub'\nexport default () => { name = 'a'; kinde.m2mToken.setCustomClaim(name, 1) }", ""},
		"an assignment":          {claims + "const c = m2mTokenClaims<{ sub: string }>()\nc.sub = 'a' }", "w.ts:4:1: " + reserved},
		"assigned later":         {claims + "let c\nc = m2mTokenClaims()\nc.sub = 'a' }", "w.ts:5:1: " + reserved},
		"computed":               {claims + "const c = m2mTokenClaims()\nc['sub'] = 'a' }", "w.ts:4:1: " + reserved},
		"computed constant":      {claims + "const c = m2mTokenClaims(), n = 'sub'\nc[n] = 'a' }", "w.ts:4:1: " + reserved},
		"directly":               {claims + "m2mTokenClaims().sub = 'a' }", "w.ts:3:1: " + reserved},
		"Object.assign":          {claims + "Object.assign(m2mTokenClaims(), { a: 1, sub: 'a' }) }", "w.ts:3:41: " + reserved},
		"an alias":               {"import { m2mCustomClaims as mk } from '@kinde/infrastructure'\nexport default () => { mk().sub = 1 }", "w.ts:2:24: " + reserved},
		"a function taken":       {"export default () => { const { setCustomClaim: set } = kinde.m2mToken; set('sub', 1) }", "w.ts:1:76: " + reserved},
		"through a function":     {claims + "set(m2mTokenClaims()) }\nfunction set(c) { c.sub = 1 }", "w.ts:4:19: " + reserved},
		"another file":           {"import { set } from './set'\nexport default () => set()\n-- set.ts --\nexport const set = () => kinde.m2mToken.setCustomClaim('sub', 1)", "set.ts:1:56: " + reserved},
		"permissions":            {claims + "m2mTokenClaims().permissions = ['a'] }", `w.ts:3:1: claim "permissions" decides what a caller may do; set allow_authorization_claims to allow it`},
		"another object":         {"export default () => { const c: any = {}; c.sub = 1; return c }", ""},
		"its own property":       {claims + "const c = m2mTokenClaims()\nc.a = { sub: 1 } }", ""},
		"a list that is read":    {claims + "const c = m2mTokenClaims()\nc.a = c.sub }", ""},
		"a library in a package": {"import set from 'acme'\nexport default () => set()\n-- node_modules/acme/index.js --\nmodule.exports = () => kinde.m2mToken.setCustomClaim('sub', 1)", ""},
		"two at once":            {claims + "const c = m2mTokenClaims()\nc.sub = 1\nc.permissions = [] }", "w.ts:4:1: " + reserved + "\nw.ts:5:1: claim \"permissions\" decides what a caller may do; set allow_authorization_claims to allow it"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checked(t, "-- w.ts --\n"+test.text, "kinde.m2mToken"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestCheckEvent(t *testing.T) {
	const (
		application = "the event has no event.application: the application's id is event.context.application.clientId"
		user        = "the event of a token for a machine has no event.context.user: event.context has domains, application, workflow"
	)
	for name, test := range map[string]struct{ text, want string }{
		"what there is":     {"export default (event) => [event.request.auth.audience.length, event.request.ip.split('.'), event.context.domains.kindeDomain, event.context.application.clientId, event.context.workflow.trigger]", ""},
		"application":       {"export default async function (event) {\n  return event.application.id\n}", "w.ts:2:10: " + application},
		"optional":          {"export default (event) => event?.application?.id", "w.ts:1:27: " + application},
		"under any name":    {"export default async (e: any) => e.application.id", "w.ts:1:34: " + application},
		"taken apart":       {"export default ({ application }) => application.id", "w.ts:1:19: " + application},
		"taken apart later": {"export default (event) => { const { context: { user } } = event; return user }", "w.ts:1:48: " + user},
		"an inner name":     {"export default (event) => { const c = event.context\n return c.user.id }", "w.ts:2:9: " + user},
		"a named function":  {"async function handler(event) { return event.application.id }\nexport default handler", "w.ts:1:40: " + application},
		"a constant":        {"const handler = async (event) => event.application.id\nexport default handler", "w.ts:1:34: " + application},
		"handle":            {"export default { async handle(event) { return event.application.id } }", "w.ts:1:47: " + application},
		"CommonJS":          {"module.exports = { default: (event) => event.application.id }", "w.ts:1:40: " + application},
		"exports.default":   {"exports.default = (event) => event.application.id", "w.ts:1:30: " + application},
		"passed on":         {"export default (event) => id(event)\nconst id = (e) => e.application.id", "w.ts:2:19: " + application},
		"a near miss":       {"export default (event) => event.context.application.clientID", `w.ts:1:27: the event of a token for a machine has no event.context.application.clientID: event.context.application has clientId; did you mean "clientId"?`},
		"another event":     {"const f = (event) => event.application.id\nexport default () => f({ application: { id: 1 } })", ""},
		"a shadow":          {"export default (event) => [{ application: 1 }].map((event) => event.application)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checked(t, "-- w.ts --\n"+test.text); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestCheckGlobals(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"what there is":     {"export default (a) => { label: for (const x of [1]) { continue label }\n console.log(JSON.stringify([undefined, new URL('a'), new Map(), globalThis.Date, a, arguments2])) }\nvar arguments2 = 1", ""},
		"eval":              {"export default () => eval('1')", "w.js:1:22: eval doesn't exist in a workflow: a workflow can't run text as code"},
		"new Function":      {"export default () => new Function('1')", "w.js:1:22: " + noFunction},
		"Function":          {"export default () => Function('1')", "w.js:1:22: " + noFunction},
		"instanceof":        {"export default (f) => f instanceof Function", ""},
		"setTimeout":        {"export default () => new Promise((done) => setTimeout(done, 1))", "w.js:1:44: setTimeout doesn't exist in a workflow: a workflow can't wait"},
		"process":           {"export default () => process.env.A", "w.js:1:22: process doesn't exist in a workflow: use getEnvironmentVariable of @kinde/infrastructure"},
		"process, short":    {"export default () => ({ process })", "w.js:1:25: process doesn't exist in a workflow: use getEnvironmentVariable of @kinde/infrastructure"},
		"the mode":          {"export default () => process.env.NODE_ENV", ""},
		"asked for":         {"export default () => typeof process == 'undefined' ? 1 : process.env.A", ""},
		"structuredClone":   {"export default () => structuredClone({})", "w.js:1:22: structuredClone doesn't exist in a workflow: use JSON.parse(JSON.stringify(value))"},
		"of the global":     {"export default () => globalThis.setTimeout(1)", "w.js:1:22: setTimeout doesn't exist in a workflow: a workflow can't wait"},
		"require of a name": {"export default (name) => require(name)", "w.js:1:26: require doesn't exist in a workflow: name the file or the package as a plain text, so that it can be bundled"},
		"a misspelling":     {"export default () => consol.log(1)", `w.js:1:22: consol is not defined; did you mean "console"?`},
		"a new target":      {"class A { constructor() { this.x = new.target } }\nexport default () => new A()", ""},
		"a class":           {"class A { static a = 1; b() { return A.a } }\nexport default () => new A().b()", ""},
		"catch":             {"export default () => { try { throw 1 } catch (error) { return error } }", ""},
		"a named function":  {"export default () => (function again(n) { return n ? again(n - 1) : 0 })(3)", ""},
		"a rest":            {"const f = ({ a, ...rest }, [b, ...others], ...more) => [a, rest, b, others, more]\nexport default () => f({}, [])", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checked(t, "-- w.js --\n"+test.text); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
