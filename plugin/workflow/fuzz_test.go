//go:build !noworkflow

package workflow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/splice"
)

// FuzzClaimValue: the JSON of a value is what JSON.stringify makes of it, and valid
// for a strict reader, or there is an error.
func FuzzClaimValue(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,2.5,-0,1e400,"\ud800"],"__proto__":{"x":null},"toJSON":1}`, `"😀"`, `[[[[]]]]`, `{"":{"":""}}`,
		`{"a":1,"a":2}`, `[1e21,0.1,123456789012345678901234567890]`, strings.Repeat("[", 70) + strings.Repeat("]", 70), `"\u2028\u0000"`,
	} {
		f.Add(text, uint8(3))
	}
	build := goja.MustCompile("build.js", `(function (text, how) {
		const v = JSON.parse(text);
		switch (how % 6) {
		case 0: return {toJSON: () => v};
		case 1: return new Proxy([v, v], {});
		case 2: return {get x() { return v }};
		case 3: return Object.assign(Object.create({inherited: 1}), {v, [Symbol()]: v});
		case 4: return [new String(text), new Number(text.length), new Boolean(how & 8), new Date(text.length)];
		default: return v;
		}
	})`, true)
	stringify := goja.MustCompile("stringify.js", `JSON.stringify`, true)
	f.Fuzz(func(t *testing.T, text string, how uint8) {
		if len(text) > 4096 || !json.Valid([]byte(text)) {
			return
		}
		vm := goja.New()
		value, ok := called(t, vm, build, vm.ToValue(text), vm.ToValue(how))
		if !ok {
			return
		}
		want, ok := called(t, vm, stringify, value)
		if !ok {
			return
		}
		got, err := encode(vm, value, maxTexts)
		if err != nil {
			return // a value that JSON.stringify changes, or one that is too deep or too large
		}
		if want.String() != string(got) && !strings.ContainsRune(text, '\\') {
			t.Errorf("%q, %d: got %s, want %s", text, how, got, want)
		}
		if o, err := splice.Parse([]byte(`{"x":` + string(got) + `}`)); err != nil || len(o.Members()) != 1 {
			t.Errorf("%q, %d: got %s, which isn't strict JSON: %v", text, how, got, err)
		}
		if _, err := decode(vm, got); err != nil {
			t.Errorf("%q, %d: got %s, which can't be read again: %v", text, how, got, err)
		}
	})
}

// called calls the function that a program is, and reports whether it returned.
func called(t *testing.T, vm *goja.Runtime, p *goja.Program, args ...goja.Value) (goja.Value, bool) {
	v, err := vm.RunProgram(p)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := goja.AssertFunction(v)
	result, err := f(goja.Undefined(), args...)
	return result, err == nil && !goja.IsUndefined(result)
}
