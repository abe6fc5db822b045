//go:build !noworkflow

package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/workflow/bundle"
)

// rejection is what the workflow's promise was rejected with.
type rejection struct{ reason goja.Value }

func (*rejection) Error() string { return "its promise was rejected" }

// interruption is why a script was stopped, and where.
type interruption struct {
	cause error
	stack []goja.StackFrame
}

func (i *interruption) Error() string { return i.cause.Error() }

// located returns cause with the place where it stopped the script, which err says.
func located(cause, err error) error {
	i := &interruption{cause: cause}
	var stopped *goja.InterruptedError
	if errors.As(err, &stopped) {
		i.stack = stopped.Stack()
	}
	return i
}

// describe returns one line about a failed event: the place in the original source,
// and the reason. A thrown value may run code of the script to become a text.
func (m *machine) describe(file string, err error) string {
	var rejected *rejection
	var stopped *interruption
	var overflow *goja.StackOverflowError
	var thrown *goja.Exception
	switch {
	case errors.As(err, &stopped):
		return place(file, stopped.stack) + ": " + stopped.Error()
	case errors.As(err, &overflow):
		return place(file, overflow.Stack()) + fmt.Sprintf(": functions call one another more than %d levels deep", maxCalls)
	case errors.As(err, &rejected):
		return m.thrown(file, rejected.reason)
	case errors.As(err, &thrown):
		return m.thrown(place(file, thrown.Stack()), thrown.Value())
	}
	return file + ": " + err.Error()
}

// thrown describes a thrown value. at is where it was thrown; an Error says where it
// was made.
func (m *machine) thrown(at string, v goja.Value) string {
	said := "it threw a value that can't be shown"
	_, _ = m.protect(func() goja.Value {
		o, ok := v.(*goja.Object)
		switch {
		case !ok:
			said = "it threw " + v.String()
		case className(o) != "Error":
			if text, err := encode(m.vm, v, maxTexts); err == nil {
				said = "it threw " + string(text)
			}
		default:
			if stack := o.Get("stack"); stack != nil {
				at = madeAt(at, stack.String())
			}
			said = strings.TrimPrefix(v.String(), "Error: ")
		}
		return goja.Undefined()
	})
	return at + ": " + said
}

// frame matches a frame of an Error's stack, as goja writes it.
var frame = regexp.MustCompile(`(?m)^\tat (?:[^\n]* \()?([^\n]+?):(\d+):(\d+)\(\d+\)\)?$`)

// madeAt returns the place of the first frame of stack in the workflow's own code,
// or of the first one, or at.
func madeAt(at, stack string) string {
	if len(stack) > maxTexts {
		return at
	}
	frames := frame.FindAllStringSubmatch(stack, 100)
	for _, f := range frames {
		if ownCode(f[1]) {
			return fileOf(f[1]) + ":" + f[2] + ":" + f[3]
		}
	}
	if len(frames) > 0 {
		return fileOf(frames[0][1]) + ":" + frames[0][2] + ":" + frames[0][3]
	}
	return at
}

// ownCode reports whether source, which a frame names, is a file of the workflow's
// author, and not a package, the plugin's own library or what esbuild adds.
func ownCode(source string) bool {
	return !strings.Contains(source, "node_modules/") && !strings.HasSuffix(source, bundle.Library) && strings.TrimPrefix(source, "/") != "workflow.js"
}

// place returns file:line:column of the first frame in the workflow's own code, or of
// the first one, or file.
func place(file string, stack []goja.StackFrame) string {
	first := ""
	for _, frame := range stack {
		p := frame.Position()
		if p.Line == 0 || p.Filename == "" {
			continue
		}
		at := fmt.Sprintf("%s:%d:%d", fileOf(p.Filename), p.Line, p.Column)
		if ownCode(p.Filename) {
			return at
		}
		first = cmp.Or(first, at)
	}
	return cmp.Or(first, file)
}

// fileOf returns the file of a frame. A source map names its sources by URLs.
func fileOf(source string) string {
	if file, err := url.PathUnescape(source); err == nil {
		return file
	}
	return source
}

// throw throws err as an Error of the script.
func throw(vm *goja.Runtime, err error) {
	thrown := vm.NewGoError(err)
	_ = thrown.DefineDataProperty("name", vm.ToValue("Error"), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	panic(thrown)
}
