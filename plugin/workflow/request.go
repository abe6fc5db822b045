//go:build !noworkflow

package workflow

import (
	"context"
	"fmt"

	"github.com/dop251/goja"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/workflow/fetch"
)

// requests answer kinde.fetch for one event.
type requests struct {
	vm       *goja.Runtime
	turn     *turn
	client   *fetch.Client
	clientID string
	related  enrich.Related
}

// fetch is kinde.fetch. It returns its answer, not a promise.
func (r *requests) fetch(call goja.FunctionCall) goja.Value {
	request, asText, err := r.read(call)
	if err != nil {
		throw(r.vm, fmt.Errorf("kinde.fetch: %w", err))
	}
	var response fetch.Response
	if waiting := r.turn.wait(func() { response, err = r.ask(r.turn.ctx, request) }); waiting != nil {
		throw(r.vm, waiting) // the script is interrupted, too
	}
	if err != nil {
		throw(r.vm, fmt.Errorf("kinde.fetch: %w", err))
	}
	answer := r.vm.NewObject()
	_ = answer.Set("status", response.Status)
	if asText {
		_ = answer.Set("text", string(response.Body))
		return answer
	}
	value := goja.Value(goja.Null())
	if len(response.Body) > 0 {
		if value, err = decode(r.vm, response.Body); err != nil {
			throw(r.vm, fmt.Errorf(`kinde.fetch: the answer has status %d, and %w; ask for it with responseFormat: "text"`, response.Status, err))
		}
	}
	_ = answer.Set("json", value)
	return answer
}

// ask runs while the script doesn't: it must not touch the virtual machine.
func (r *requests) ask(ctx context.Context, request fetch.Request) (fetch.Response, error) {
	return r.client.Do(ctx, request, r.clientID, fetch.Related(r.related))
}

// read reads the arguments of kinde.fetch.
func (r *requests) read(call goja.FunctionCall) (request fetch.Request, asText bool, err error) {
	if request.URL, err = text(r.vm, "the URL", call.Argument(0)); err != nil {
		return request, false, err
	}
	v := call.Argument(1)
	if goja.IsUndefined(v) || goja.IsNull(v) {
		return request, false, nil
	}
	options := v.ToObject(r.vm)
	format := "json"
	for _, option := range []struct {
		name string
		to   *string
	}{{"method", &request.Method}, {"responseFormat", &format}} {
		if v := options.Get(option.name); given(v) {
			if *option.to, err = text(r.vm, option.name, v); err != nil {
				return request, false, err
			}
		}
	}
	if format != "json" && format != "text" {
		return request, false, fmt.Errorf("responseFormat is %.20q, and must be json or text", format)
	}
	if request.Header, err = r.headers(options.Get("headers")); err != nil {
		return request, false, err
	}
	request.Body, err = r.body(options.Get("body"))
	return request, format == "text", err
}

func (r *requests) headers(v goja.Value) (map[string]string, error) {
	if !given(v) {
		return nil, nil
	}
	o := v.ToObject(r.vm)
	headers := map[string]string{}
	for _, name := range o.Keys() {
		value, err := text(r.vm, "a header", o.Get(name))
		if err != nil {
			return nil, err
		}
		headers[name] = value
	}
	return headers, nil
}

// body returns the body as it is sent: a text as it is, a form from
// URLSearchParams, and JSON of another object.
func (r *requests) body(v goja.Value) (string, error) {
	if !given(v) {
		return "", nil
	}
	if o, ok := v.(*goja.Object); ok && (className(o) == "Object" || className(o) == "Array") {
		body, err := encode(r.vm, o, maxBody)
		if err != nil {
			err = fmt.Errorf("the body %w", err)
		}
		return string(body), err
	}
	return text(r.vm, "the body", v)
}

// text returns the text of a value that the script passes.
func text(vm *goja.Runtime, what string, v goja.Value) (string, error) {
	s := textOf(vm, v)
	if s.Length() > maxBody {
		return "", fmt.Errorf("%s has more than %d characters", what, maxBody)
	}
	return s.String(), nil
}
