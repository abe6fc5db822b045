//go:build !noworkflow

package workflow

import (
	"strings"
	"testing"
)

// TestReach: a workflow reaches no file, no environment, no other process, no other
// application's record, and no host that isn't allowed.
func TestReach(t *testing.T) {
	t.Setenv("WORKFLOW_TEST_SECRET", "value of the process")
	for _, expression := range []string{
		`require("fs")`, `require("/etc/passwd")`, `require("child_process")`, `process.env`, `Deno.env`, `Bun.env`, `fetch("https://example.com")`,
		`new XMLHttpRequest()`, `new Worker("x")`, `importScripts("x")`, `Function("return 1")`, `(0, eval)("1")`, `setTimeout(() => {}, 1)`,
		`kinde.fetch("https://example.com/")`, `kinde.fetch("file:///etc/passwd")`, `kinde.fetch("http://127.0.0.1:6379/")`,
		`kinde.fetch(event.context.domains.kindeDomain + "/api/v1/applications/app_2")`,
		`kinde.fetch(event.context.domains.kindeDomain + "/api/v1/organization?code=org_2")`,
		`kinde.fetch(event.context.domains.kindeDomain + "/api/v1/users")`,
		`kinde.secureFetch("https://example.com/")`, `kinde.mfa.setEnforcementPolicy("required")`, `kinde.idToken.setCustomClaim("x", 1)`,
		`kinde.env.get("WORKFLOW_TEST_SECRET").value`, `kinde.env.get("PATH").value`, `kinde.env.get("__proto__").value`, `kinde.env.get("constructor").value`,
	} {
		w := opened(t, handler("let got; try { got = "+expression+" } catch (e) { return }\nkinde.m2mToken.setCustomClaim('got', String(got))"))
		w.settings.bindings = declarable()
		if got, _, err := run(t, w); err != nil || got != "{}" {
			t.Errorf("%s: got %s, %v, want that it throws", expression, got, err)
		}
	}
}

// TestGlobals: the global object has the language, Kinde's names, and nothing else.
func TestGlobals(t *testing.T) {
	got := claimsOf(t, `/* console util url URL eval */ kinde.m2mToken.setCustomClaim("names", Object.getOwnPropertyNames(globalThis)
		.filter(name => /^[a-z]/.test(name) && !/^(is|parse|decode|encode|escape|unescape|undefined|globalThis)/.test(name)).sort())`)
	if want := `{"names":["console","exports","kinde","module","url","util"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOtherTriggers: a binding of another trigger may be declared. Calling it says
// why it isn't here.
func TestOtherTriggers(t *testing.T) {
	w := opened(t, handler(`kinde.accessToken.setCustomClaim("x", 1)`))
	w.settings.bindings = declarable()
	if _, _, err := run(t, w); err == nil || !strings.Contains(err.Error(), "kinde.accessToken.setCustomClaim isn't for tokens of applications") {
		t.Errorf("got %v, want that it isn't for tokens of applications", err)
	}
}

// TestUndeclared: a binding exists only if the settings declare it.
func TestUndeclared(t *testing.T) {
	w := opened(t, handler(`kinde.m2mToken.setCustomClaim("x", [typeof kinde.env, typeof kinde.fetch, typeof kinde.mfa, typeof kinde.cache.jwtToken])`))
	w.settings.bindings = []string{bindingToken}
	if got, _, err := run(t, w); err != nil || got != `{"x":["undefined","undefined","undefined","function"]}` {
		t.Errorf("got %s, %v, want only what is declared, and the cache", got, err)
	}
}
