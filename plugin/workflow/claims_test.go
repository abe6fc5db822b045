//go:build !noworkflow

package workflow

import (
	"strings"
	"testing"
)

// TestClaimValues: a value is written as JSON.stringify writes it.
func TestClaimValues(t *testing.T) {
	for value, want := range map[string]string{
		`"text"`:                               `"text"`,
		`"quote \" \\ \u2028 é 😀"`:             "\"quote \\\" \\\\ \u2028 é 😀\"",
		`1.0`:                                  `1`,
		`-0`:                                   `0`,
		`1e21`:                                 `1e+21`,
		`0.1 + 0.2`:                            `0.30000000000000004`,
		`2 ** 53`:                              `9007199254740992`,
		`5e-324`:                               `5e-324`,
		`true`:                                 `true`,
		`null`:                                 `null`,
		`[]`:                                   `[]`,
		`{}`:                                   `{}`,
		`[1, "a", [null], {a: []}]`:            `[1,"a",[null],{"a":[]}]`,
		`{b: 1, a: {c: 2}, 1: 0}`:              `{"1":0,"b":1,"a":{"c":2}}`,
		`new String("s")`:                      `"s"`,
		`new Number(7)`:                        `7`,
		`new Boolean(false)`:                   `false`,
		`new Date(0)`:                          `"1970-01-01T00:00:00.000Z"`,
		`{toJSON() { return [this.x] }, x: 1}`: `[1]`,
		`{toJSON: key => ({key, toJSON: 1})}`:  `{"key":"","toJSON":1}`,
		`{a: {toJSON: key => key}}`:            `{"a":"a"}`,
		`[{toJSON: key => typeof key + key}]`:  `["string0"]`,
		`{get x() { return 1 }}`:               `{"x":1}`,
		`Object.create({inherited: 1})`:        `{}`,
		`Object.defineProperty({}, "x", {value: 1})`:      `{}`,
		`{[Symbol("s")]: 1, x: 2}`:                        `{"x":2}`,
		`new Proxy([1, 2], {})`:                           `[1,2]`,
		`new Proxy({a: 1}, {get: () => 2})`:               `{"a":2}`,
		`Object.assign([1], {extra: 2})`:                  `[1]`,
		`JSON.parse('{"__proto__": {"x": 1}}')`:           `{"__proto__":{"x":1}}`,
		`class { static x = 1; constructor() {} } && [1]`: `[1]`,
	} {
		if got, want := claimsOf(t, `kinde.m2mToken.setCustomClaim("x", `+value+`)`), `{"x":`+want+`}`; got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
}

// TestClaimValuesRefused: what JSON can't express is an error that names the claim
// and the place, also inside of a value, where JSON.stringify would drop it.
func TestClaimValuesRefused(t *testing.T) {
	for value, want := range map[string]string{
		`undefined`:                       `the claim "x": the value is undefined`,
		`() => 1`:                         `is a function`,
		`Symbol("s")`:                     `is a symbol`,
		`NaN`:                             `is NaN`,
		`1 / 0`:                           `is infinite`,
		`{a: [{b: undefined}]}`:           `the value .a[0].b is undefined`,
		`[,1]`:                            `the value [0] is undefined`,
		`{a: class {}}`:                   `the value .a is a function`,
		`new Map([[1, 2]])`:               `is a Map or Set`,
		`new Set([1])`:                    `is a Map or Set`,
		`/x/`:                             `is a RegExp`,
		`new Error("e")`:                  `is a Error`,
		`Promise.resolve(1)`:              `is a promise; await it`,
		`(async () => 1)()`:               `is a promise; await it`,
		`new Date(NaN).getTime()`:         `is NaN`,
		`"\ud800"`:                        `has half of a surrogate pair`,
		`{"\udc00": 1}`:                   `has a name that isn't Unicode`,
		`new Proxy(() => 1, {})`:          `is a function`,
		`new Proxy(new Map, {})`:          `is a Map or Set`,
		`{toJSON() {}}`:                   `is undefined`,
		`{toJSON() { return NaN }, x: 1}`: `is NaN`,
		`"x".repeat(70000)`:               `have more than 65536 bytes`,
		`Array(1e9)`:                      `have more than 65536 bytes`,
		`(() => { const o = {}; o.o = [o]; return o })()`:                   `the value .o[0] contains itself`,
		`{get x() { throw new Error("mine") }}`:                             `: mine`,
		`{toJSON() { throw new Error("mine") }}`:                            `: mine`,
		`{get x() { return this.x }}`:                                       `levels deep`,
		`{toJSON() { while (true) ; }}`:                                     `it computed for`,
		`new Proxy({}, {ownKeys() { throw new Error("mine") }})`:            `: mine`,
		`new Proxy([], {get: (t, k) => k == "length" ? Infinity : 1})`:      `bytes`,
		`[1].concat(Array(70).fill(0).reduce(x => [x], 1))`:                 `nested more than 64 levels`,
		`(() => { const o = {get x() { o.y = o; return 1 }}; return o })()`: ``,
	} {
		if want == "" {
			claimsOf(t, `kinde.m2mToken.setCustomClaim("x", `+value+`)`)
			continue
		}
		if got := failureOf(t, `kinde.m2mToken.setCustomClaim("x", `+value+`)`); !strings.Contains(got, want) {
			t.Errorf("%s: got the error %q, want %q", value, got, want)
		}
	}
}

// TestTexts: what isn't a text becomes one, as String makes it.
func TestTexts(t *testing.T) {
	for expression, want := range map[string]string{
		`[1, true, null, undefined, 2.5, [3], "x"].join()`: `{"x":"1,true,,,2.5,3,x"}`,
		`[1, 2].join(0)`: `{"x":"102"}`,
		`"" + [1, 2]`:    `{"x":"1,2"}`,
		`(() => { try { return [Symbol()].join() } catch (e) { return e.name } })()`:                                                                `{"x":"TypeError"}`,
		`(() => { try { kinde.fetch("https://example.kinde.com/x", {headers: {n: 7}, body: 7}) } catch (e) { return /answered from/.test(e) } })()`: `{"x":true}`,
	} {
		if got := claimsOf(t, `kinde.m2mToken.setCustomClaim("x", `+expression+`)`); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

// TestClaimIsTakenWhenSet: what becomes of an object later has no effect.
func TestClaimIsTakenWhenSet(t *testing.T) {
	got := claimsOf(t, `
		const o = {a: 1};
		kinde.m2mToken.setCustomClaim("x", o);
		o.a = 2;
		kinde.m2mToken.setCustomClaim("y", 1);
		kinde.m2mToken.setCustomClaim("x", o.a);
		await 0;
		o.a = 3;`)
	if want := `{"x":2,"y":1}`; got != want {
		t.Errorf("got %s, want %s: the last value, at the first place", got, want)
	}
}

// TestReservedClaim: the function throws, and a script that catches that sets no
// claim.
func TestReservedClaim(t *testing.T) {
	if got := failureOf(t, `kinde.m2mToken.setCustomClaim("sub", "app_2")`); !strings.Contains(got, "the claim sub is reserved") {
		t.Errorf("got the error %q, want that sub is reserved", got)
	}
	got := claimsOf(t, `
		try { kinde.m2mToken.setCustomClaim("sub", "app_2") } catch (e) { kinde.m2mToken.setCustomClaim("caught", e instanceof Error) }
		for (const name of [undefined, null, 7, {}, "\ud800"]) try { kinde.m2mToken.setCustomClaim(name, 1) } catch {}`)
	if want := `{"caught":true}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTooManyClaims: the number is limited, and so is the size of all.
func TestTooManyClaims(t *testing.T) {
	if got := failureOf(t, `for (let i = 0; ; i++) kinde.m2mToken.setCustomClaim("c" + i, i)`); !strings.Contains(got, `"c100" is one more than 100`) {
		t.Errorf("got the error %q, want that there are too many", got)
	}
	if got := failureOf(t, `for (let i = 0; i < 9; i++) kinde.m2mToken.setCustomClaim("c" + i, "x".repeat(8000))`); !strings.Contains(got, `"c8" and the others have more than 65536 bytes`) {
		t.Errorf("got the error %q, want that they are too large", got)
	}
}

// TestPrototypePollution: a script that changes the built-in objects changes neither
// what is read of it nor the next event.
func TestPrototypePollution(t *testing.T) {
	w := opened(t, handler(`
		Object.prototype.toJSON = function () { return "polluted" };
		Object.prototype.polluted = "yes";
		Object.defineProperty(Object.prototype, "default", {get() { throw 1 }});
		Object.defineProperty(Object.prototype, "method", {get() { return "DELETE" }});
		Array.prototype[Symbol.iterator] = function* () { yield "polluted" };
		Array.prototype.push = String.prototype.toString = Function.prototype.call = undefined;
		globalThis.Object = globalThis.JSON = globalThis.Error = globalThis.RangeError = null;
		kinde.m2mToken.setCustomClaim("text", "kept");
		kinde.m2mToken.setCustomClaim("object", {a: 1});`))
	for range 2 {
		if got, _, err := run(t, w); err != nil || got != `{"text":"kept","object":"polluted"}` {
			t.Errorf("got %s, %v, want the script's own toJSON and nothing else", got, err)
		}
	}
	clean := opened(t, handler(`kinde.m2mToken.setCustomClaim("seen", [typeof ({}).polluted, typeof JSON, [...[1]].length])`))
	if got, _, err := run(t, clean); err != nil || got != `{"seen":["undefined","object",1]}` {
		t.Errorf("got %s, %v, want nothing of the other event", got, err)
	}
}
