//go:build !noworkflow

package workflow

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// paramsTable are expressions and their values in Node.
var paramsTable = []struct{ expression, want string }{
	{`new URLSearchParams({a: 1, b: "x y", c: null, d: [1, 2]})`, `"a=1&b=x+y&c=null&d=1%2C2"`},
	{`new URLSearchParams([["a", 1], ["a", 2]])`, `"a=1&a=2"`},
	{`new URLSearchParams(new Map([["a", "b"]]))`, `"a=b"`},
	{`new URLSearchParams(new URLSearchParams("a=1&b=2&a=3"))`, `"a=1&b=2&a=3"`},
	{`new URLSearchParams("?a=1&&b&=c&d=e=f&?g")`, `"a=1&b=&=c&d=e%3Df&%3Fg="`},
	{`new URLSearchParams("??a")`, `"%3Fa="`},
	{`new URLSearchParams()`, `""`},
	{`new URLSearchParams(null)`, `""`},
	{`new URLSearchParams(7)`, `"7="`},
	{`new URLSearchParams([])`, `""`},
	{`[...new URLSearchParams("a+b=%20%2B%zz%4&c=%e2%82%ac%F0%9f%98%80")]`, `[["a b"," +%zz%4"],["c","€😀"]]`},
	{`[...new URLSearchParams("a=%e2%82x%ff%f0%9f%98&b=%ed%a0%80&c=%EF%BB%BFx")]`, `[["a","�x��"],["b","���"],["c","\ufeffx"]]`},
	{`new URLSearchParams([["~!*()'-._ ", "é😀\ud800\u0000"]])`, `"%7E%21*%28%29%27-._+=%C3%A9%F0%9F%98%80%EF%BF%BD%00"`},
	{`new URLSearchParams([["a"]])`, `"TypeError"`},
	{`new URLSearchParams([["a", "b", "c"]])`, `"TypeError"`},
	{`new URLSearchParams(["ab"])`, `"TypeError"`},
	{`new URLSearchParams({a: Symbol()})`, `"TypeError"`},
	{`URLSearchParams.prototype.get.call({}, "a")`, `"TypeError"`},
	{`new URLSearchParams("a").get()`, `"TypeError"`},
	{`new URLSearchParams("a").append("b")`, `"TypeError"`},
	{`new URLSearchParams("a").forEach(1)`, `"TypeError"`},
	{`(p => { p.append("b", 2); p.append("a", undefined); return p })(new URLSearchParams("a=1"))`, `"a=1&b=2&a=undefined"`},
	{`(p => [p.get("a"), p.get("c"), p.getAll("a"), p.getAll("c"), p.has("a"), p.has("c"), p.has("a", 2), p.has("a", "3"), p.has("a", undefined), p.size])(new URLSearchParams("a=1&b=2&a=3"))`, `["1",null,["1","3"],[],true,false,false,true,true,3]`},
	{`(p => { p.set("a", 9); p.set("z", ""); return p })(new URLSearchParams("x=0&a=1&b=2&a=3"))`, `"x=0&a=9&b=2&z="`},
	{`(p => { p.delete("a"); return p })(new URLSearchParams("a=1&b=2&a=3"))`, `"b=2"`},
	{`(p => { p.delete("a", 3); p.delete("b", undefined); return p })(new URLSearchParams("a=1&b=2&a=3"))`, `"a=1"`},
	{`(p => { p.sort(); return p })(new URLSearchParams([["\uffff", 1], ["b", 1], ["😀", 1], ["a", 2], ["b", 0]]))`, `"a=2&b=1&b=0&%F0%9F%98%80=1&%EF%BF%BF=1"`},
	{`(p => [[...p.keys()], [...p.values()], [...p.entries()], Array.from(p), Object.fromEntries(p)])(new URLSearchParams("a=1&b=2"))`, `[["a","b"],["1","2"],[["a","1"],["b","2"]],[["a","1"],["b","2"]],{"a":"1","b":"2"}]`},
	{`(p => { const l = []; for (const [k] of p) { l.push(k); if (l.length < 4) p.append(k + k, ""); } return l })(new URLSearchParams("a=1"))`, `["a","aa","aaaa","aaaaaaaa"]`},
	{`(p => { const l = []; p.forEach(function (v, k, q) { l.push(v, k, q === p, this.x) }, {x: 1}); return l })(new URLSearchParams("a=1&b=2"))`, `["1","a",true,1,"2","b",true,1]`},
	{`(p => { const it = p.keys(); return [it[Symbol.iterator]() === it, it.next(), it.next().done] })(new URLSearchParams("a"))`, `[true,{"value":"a","done":false},true]`},
	{"(p => [`${p}`, p + '', Object.prototype.toString.call(p), p instanceof URLSearchParams, typeof URLSearchParams])(new URLSearchParams('a=b'))", `["a=b","a=b","[object URLSearchParams]",true,"function"]`},
	{`new (class extends URLSearchParams { twice() { return this + "&" + this } })("a=b").twice()`, `"a=b&a=b"`},
	{`Object.keys(URLSearchParams.prototype).includes("get")`, `true`},
	{`(u => { u.searchParams.append("b", "x y"); return [u.href, u.search, u.searchParams === u.searchParams, u.searchParams instanceof URLSearchParams] })(new URL("https://example.com/?a=1"))`, `["https://example.com/?a=1&b=x+y","?a=1&b=x+y",true,true]`},
	{`((u, p) => { p = u.searchParams; u.search = "c=3"; const c = p.get("c"); p.delete("c"); return [c, u.href] })(new URL("https://example.com/?a=1"))`, `["3","https://example.com/"]`},
	{`(u => { u.searchParams.set("a", "ü"); u.searchParams.sort(); return [u.href, [...u.searchParams]] })(new URL("https://example.com/x?b=1#f"))`, `["https://example.com/x?a=%C3%BC&b=1#f",[["a","ü"],["b","1"]]]`},
}

// params is an expression of code whose value is JSON: a URLSearchParams as a text,
// a thrown TypeError as its name.
func valueOf(expression string) string {
	return `(() => { try { const v = ` + expression + `; return v instanceof URLSearchParams ? String(v) : v } catch (e) { return e instanceof TypeError ? "TypeError" : String(e) } })()`
}

// TestSearchParams: each expression has its value.
func TestSearchParams(t *testing.T) {
	for _, row := range paramsTable {
		got := claimsOf(t, `kinde.m2mToken.setCustomClaim("x", `+valueOf(row.expression)+`)`)
		if want := normal(t, `{"x":`+row.want+`}`); normal(t, got) != want {
			t.Errorf("%s: got %s, want %s", row.expression, got, want)
		}
	}
}

// TestSearchParamsInNode: Node gives the same values.
func TestSearchParamsInNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node")
	}
	var lines []string
	for _, row := range paramsTable {
		lines = append(lines, "console.log(JSON.stringify("+valueOf(row.expression)+"))")
	}
	cmd := exec.Command(node, "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, got := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if want := paramsTable[i].want; normal(t, got) != normal(t, want) {
			t.Errorf("%s: Node gives %s, want %s", paramsTable[i].expression, got, want)
		}
	}
}

// normal writes JSON in one way.
func normal(t *testing.T, text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	again, _ := json.Marshal(v)
	return string(again)
}
