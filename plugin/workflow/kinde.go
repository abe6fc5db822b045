//go:build !noworkflow

package workflow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// Names that a workflow of this trigger may declare as bindings.
const (
	bindingEnv         = "kinde.env"
	bindingFetch       = "kinde.fetch"
	bindingSecureFetch = "kinde.secureFetch"
	bindingToken       = "kinde.m2mToken"
)

// undeclared are there whether or not a workflow declares them.
var undeclared = []string{"console", "url", "util", "module", "kinde.cache"}

// elsewhere are bindings of Kinde's other triggers. A workflow may declare them, and
// their functions throw.
var elsewhere = []string{
	"kinde.accessToken", "kinde.auth", "kinde.idToken", "kinde.localization", "kinde.mfa", "kinde.plan",
	"kinde.ssoSession", "kinde.user", "kinde.widget",
}

// unset is the value of Kinde's two variables for its own API, unless workflow.env
// has them. The library doesn't start without, and no request with them leaves.
const unset = "unused"

var ownVariables = []string{"KINDE_WF_M2M_CLIENT_ID", "KINDE_WF_M2M_CLIENT_SECRET"}

// kinde is what hangs below kinde in one virtual machine.
type kinde struct {
	vm     *goja.Runtime
	env    map[string]string
	claims *claims
	fetch  func(goja.FunctionCall) goja.Value
}

// install sets kinde, with what bindings declare.
func (k *kinde) install(bindings []string) {
	o := k.vm.NewObject()
	_ = o.Set("cache", k.object("jwtToken", k.jwtToken))
	for _, binding := range bindings {
		name := strings.TrimPrefix(binding, "kinde.")
		switch {
		case binding == bindingEnv:
			_ = o.Set(name, k.object("get", k.variable))
		case binding == bindingFetch:
			_ = o.Set(name, k.fetch)
		case binding == bindingToken:
			_ = o.Set(name, k.object("setCustomClaim", k.claims.setCustomClaim, "getCustomClaims", k.claims.getCustomClaims))
		case binding == bindingSecureFetch:
			_ = o.Set(name, k.throws("kinde.secureFetch needs a key that only Kinde has; call kinde.fetch"))
		case slices.Contains(elsewhere, binding):
			_ = o.Set(name, k.vm.NewDynamicObject(stranger{k, binding}))
		}
	}
	_ = k.vm.Set("kinde", o)
}

// object returns an object with functions, each after its name.
func (k *kinde) object(members ...any) *goja.Object {
	o := k.vm.NewObject()
	for i := 0; i < len(members); i += 2 {
		_ = o.Set(members[i].(string), members[i+1])
	}
	return o
}

func (k *kinde) throws(problem string) func(goja.FunctionCall) goja.Value {
	return func(goja.FunctionCall) goja.Value { panic(k.vm.NewTypeError(problem)) }
}

// variable is kinde.env.get.
func (k *kinde) variable(call goja.FunctionCall) goja.Value {
	name := call.Argument(0).String()
	value, ok := k.env[name]
	if !ok && !slices.Contains(ownVariables, name) {
		return goja.Undefined()
	} else if !ok {
		value = unset
	}
	return k.object("value", value, "isSecret", true)
}

// jwtToken is kinde.cache.jwtToken. Nothing is kept from one event to the next, so
// the token is always missing.
func (k *kinde) jwtToken(call goja.FunctionCall) goja.Value {
	options := call.Argument(1).ToObject(k.vm)
	fetch, ok := callable(options.Get("onMissingOrExpired"))
	if !ok {
		panic(k.vm.NewTypeError("kinde.cache.jwtToken: onMissingOrExpired must be a function"))
	}
	return fetch(goja.FunctionCall{This: options})
}

// stranger is a binding of another trigger: any function that is called on it
// throws.
type stranger struct {
	k    *kinde
	name string
}

func (s stranger) Get(function string) goja.Value {
	return s.k.vm.ToValue(s.k.throws(fmt.Sprintf("%s.%.50s isn't for tokens of applications (m2m:token_generation)", s.name, function)))
}

func (stranger) Set(string, goja.Value) bool { return false }
func (stranger) Has(string) bool             { return true }
func (stranger) Delete(string) bool          { return false }
func (stranger) Keys() []string              { return nil }
