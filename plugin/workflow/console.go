//go:build !noworkflow

package workflow

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/splice"
)

// console keeps what a script prints for one event.
type console struct {
	vm    *goja.Runtime
	veil  *veil
	lines []string
}

// install puts console into the virtual machine.
func (c *console) install() {
	o := c.vm.NewObject()
	for _, level := range []string{"log", "info", "debug", "warn", "error"} {
		prefix := level + ": "
		if level == "log" || level == "info" {
			prefix = ""
		}
		_ = o.Set(level, func(call goja.FunctionCall) goja.Value {
			c.print(prefix, call.Arguments)
			return goja.Undefined()
		})
	}
	_ = c.vm.Set("console", o)
}

func (c *console) print(prefix string, args []goja.Value) {
	switch n := len(c.lines); {
	case n > enrich.MaxPrinted-1:
		return
	case n == enrich.MaxPrinted-1:
		c.lines = append(c.lines, fmt.Sprintf("more than %d lines; the others aren't shown", n))
		return
	}
	words := make([]string, 0, len(args))
	for _, arg := range args[:min(len(args), 100)] {
		words = append(words, c.word(arg))
	}
	c.lines = append(c.lines, c.veil.line(prefix+strings.Join(words, " ")))
}

// word shows one printed value: an object as JSON if it can be.
func (c *console) word(v goja.Value) string {
	if s, ok := v.(goja.String); ok && s.Length() > maxTexts {
		return fmt.Sprintf("[a text of %d characters]", s.Length())
	}
	if o, ok := v.(*goja.Object); ok && className(o) != "Error" && className(o) != "Function" {
		if text, err := encode(c.vm, v, maxTexts); err == nil {
			return string(text)
		}
	}
	return v.String()
}

// veil hides secrets in what a script prints and throws.
type veil struct{ secrets *strings.Replacer }

// newVeil returns a veil over the values of env, and over the forms that they have
// in JSON and in a URL.
func newVeil(env map[string]string) *veil {
	var values []string
	for _, value := range env {
		values = append(values, value, url.QueryEscape(value), url.PathEscape(value))
		if quoted, err := splice.Quote(value); err == nil {
			values = append(values, string(quoted[1:len(quoted)-1]))
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	var pairs []string
	for _, value := range values {
		if value != "" {
			pairs = append(pairs, value, "[secret]")
		}
	}
	return &veil{strings.NewReplacer(pairs...)}
}

// line returns the beginning of text without secrets.
func (v *veil) line(text string) string {
	if len(text) > 4*maxTexts {
		return fmt.Sprintf("[a text of %d bytes]", len(text)) // a cut could show a part of a secret
	}
	text = v.secrets.Replace(text)
	if len(text) <= enrich.MaxPrintedLine {
		return text
	}
	var cut bytes.Buffer
	cut.WriteString(strings.ToValidUTF8(text[:enrich.MaxPrintedLine-len("…")], ""))
	cut.WriteString("…")
	return cut.String()
}
