package schema

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestReuse(t *testing.T) {
	cfg, err := Parse(minimal(t, "reuse", map[string]any{
		"enabled": true, "max_age": 60.0, "share_of_life": 0.5, "min_remaining": 10.0, "coalesce": false, "shared": true,
		"secret": "0123456789abcdef", "if_provider_fails": true, "vary_headers": []any{"X-Tenant"}, "bypass_headers": []any{},
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Reuse
	if !r.Enabled || r.MaxAge != 60 || r.ShareOfLife != 0.5 || r.MinRemaining != 10 || r.Coalesce || !r.Shared ||
		r.Secret != "0123456789abcdef" || !r.IfProviderFails || !slices.Equal(r.VaryHeaders, []string{"x-tenant"}) || len(r.BypassHeaders) != 0 {
		t.Errorf("got %+v, want what was written, and x-tenant in lower case", r)
	}
	if shown := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(shown, "0123456789abcdef") {
		t.Error("the secret is shown")
	}
}

// TestReuseAccepts: what is right at its limits.
func TestReuseAccepts(t *testing.T) {
	for name, changes := range map[string][]any{
		"whole numbers as the share":            {"reuse.share_of_life", 1.0},
		"no share, for outages alone":           {"reuse.enabled", true, "reuse.share_of_life", 0.0, "reuse.if_provider_fails", true},
		"a life just over min_remaining":        {"reuse.enabled", true, "signing.max_ttl", 61.0},
		"a short life without reuse":            {"signing.max_ttl", 60.0},
		"a vault reference for the secret":      {"reuse.shared", true, "reuse.secret", "{vault://env/s}"},
		"an empty secret that nobody needs":     {"reuse.secret", ""},
		"a header that excludes Basic requests": {"reuse.bypass_headers", []any{"Authorization"}},
	} {
		if _, err := Parse(minimal(t, changes...)); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
}

func TestReuseRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		changes []any
		want    string
	}{
		"share over 1":            {[]any{"reuse.share_of_life", 1.01}, "config.reuse.share_of_life: value should be between 0 and 1"},
		"share below 0":           {[]any{"reuse.share_of_life", -0.1}, "config.reuse.share_of_life: value should be between 0 and 1"},
		"share as text":           {[]any{"reuse.share_of_life", "0.5"}, "config.reuse.share_of_life: expected a number"},
		"share in a vault":        {[]any{"reuse.share_of_life", "{vault://env/a}"}, "expected a number; Kong resolves no vault reference"},
		"age with a fraction":     {[]any{"reuse.max_age", 1.5}, "config.reuse.max_age: expected an integer"},
		"no age":                  {[]any{"reuse.max_age", 0.0}, "config.reuse.max_age: value should be between 1 and 86400"},
		"no share":                {[]any{"reuse.enabled", true, "reuse.share_of_life", 0.0}, "config.reuse.share_of_life: must be more than 0"},
		"a life of that":          {[]any{"reuse.enabled", true, "signing.max_ttl", 60.0}, "config.reuse.min_remaining: must be less than signing.max_ttl, which is 60"},
		"shared alone":            {[]any{"reuse.shared", true}, "config.reuse.secret: required with shared"},
		"unresolved secret":       {[]any{"reuse.shared", true, "reuse.secret", ""}, "config.reuse.secret: required with shared; a vault reference that can't be resolved is empty"},
		"short secret":            {[]any{"reuse.secret", "0123456789abcde"}, "config.reuse.secret: must have at least 16 bytes"},
		"header with a space":     {[]any{"reuse.vary_headers", []any{"a", "x tenant"}}, `config.reuse.vary_headers[1]: "x tenant" is not a header's name`},
		"header with a colon":     {[]any{"reuse.bypass_headers", []any{"dpop:"}}, `config.reuse.bypass_headers[0]: "dpop:" is not a header's name`},
		"header that nginx drops": {[]any{"reuse.vary_headers", []any{"x.tenant"}}, `config.reuse.vary_headers[0]: "x.tenant" is not a header's name`},
		"empty header":            {[]any{"reuse.vary_headers", []any{""}}, "config.reuse.vary_headers[0]: length must be at least 1"},
		"a compared header":       {[]any{"reuse.vary_headers", []any{"Authorization"}}, `config.reuse.vary_headers[0]: "authorization" is compared already`},
		"a header of everybody":   {[]any{"reuse.bypass_headers", []any{"Content-Type"}}, `config.reuse.bypass_headers[0]: "content-type" is in every token request`},
		"the same header twice":   {[]any{"reuse.vary_headers", []any{"x-a", "X-A"}}, `config.reuse.vary_headers[1]: "x-a" is there twice`},
		"too many headers":        {[]any{"reuse.vary_headers", slices.Repeat([]any{"x"}, 17)}, "config.reuse.vary_headers: length must be at most 16"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(minimal(t, tt.changes...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if n := len(Split(err)); n != 1 && name != "too many headers" {
				t.Errorf("got %d errors, want 1: %v", n, err)
			}
		})
	}
}
