//go:build !noworkflow

package workflow

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/dop251/goja"
	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// claims are what one event sets, as kinde.m2mToken has them.
type claims struct {
	vm    *goja.Runtime
	check func(name string) error
	given []splice.Member // by the configuration
	set   []splice.Member // in the order in which each was first set
}

// setCustomClaim is kinde.m2mToken.setCustomClaim. The value is taken now: what
// becomes of an object later has no effect.
func (c *claims) setCustomClaim(call goja.FunctionCall) goja.Value {
	name, ok := call.Argument(0).(goja.String)
	if !ok || !wellFormed(name) {
		panic(c.vm.NewTypeError("setCustomClaim: a claim's name must be a text"))
	}
	if err := c.put(name.String(), call.Argument(1)); err != nil {
		throw(c.vm, fmt.Errorf("setCustomClaim: %w", err))
	}
	return goja.Undefined()
}

func (c *claims) put(name string, v goja.Value) error {
	if err := c.check(name); err != nil {
		return err
	}
	value, err := encode(c.vm, v, maxTexts-c.size(name))
	if err == errTooLong {
		return fmt.Errorf("the claim %q and the others have more than %d bytes", name, maxTexts)
	} else if err != nil {
		return fmt.Errorf("the claim %q: the value %w", name, err)
	}
	for _, other := range c.given {
		switch {
		case other.Name == name && c.same(other.Value, value):
			return nil
		case other.Name == name:
			return fmt.Errorf("the claim %q has another value in config.claims; remove it from one of them", name)
		case strings.EqualFold(other.Name, name):
			return fmt.Errorf("the claim %q may be taken for %q of config.claims", name, other.Name)
		}
	}
	for i, other := range c.set {
		switch {
		case other.Name == name:
			c.set[i].Value = value
			return nil
		case strings.EqualFold(other.Name, name):
			return fmt.Errorf("the claim %q may be taken for %q, which it sets, too", name, other.Name)
		}
	}
	if len(c.set) == schema.MaxClaims {
		return fmt.Errorf("the claim %q is one more than %d, the limit", name, schema.MaxClaims)
	}
	c.set = append(c.set, splice.Member{Name: name, Value: value})
	return nil
}

// size is the size of all set claims except the one called name.
func (c *claims) size(name string) (n int) {
	for _, m := range c.set {
		if m.Name != name {
			n += len(m.Name) + len(m.Value)
		}
	}
	return n
}

// same reports whether a script that reads given and sets it again sets value.
func (c *claims) same(given, value jsontext.Value) bool {
	if bytes.Equal(given, value) {
		return true
	}
	decoded, err := decode(c.vm, given)
	if err != nil {
		return false
	}
	again, err := encode(c.vm, decoded, maxTexts)
	return err == nil && bytes.Equal(again, value)
}

// getCustomClaims is kinde.m2mToken.getCustomClaims: a new object, which a script
// may change without an effect.
func (c *claims) getCustomClaims(goja.FunctionCall) goja.Value {
	o := c.vm.NewObject()
	for _, list := range [][]splice.Member{c.given, c.set} {
		for _, m := range list {
			v, err := decode(c.vm, m.Value)
			if err != nil {
				throw(c.vm, fmt.Errorf("getCustomClaims: the claim %q: %w", m.Name, err))
			}
			_ = o.DefineDataProperty(m.Name, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		}
	}
	return o
}
