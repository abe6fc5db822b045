package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestCacheHeader(t *testing.T) {
	for name, want := range map[string]bool{
		"cdn-cache-control": true, "cloudflare-cdn-cache-control": true, "vercel-cdn-cache-control": true, "x-litespeed-cache-control": true,
		"a-cache-of-tomorrow-cache-control": true, "surrogate-control": true, "edge-control": true, "x-accel-expires": true, "expires": true,
		"x-reverse-proxy-ttl": true, "cache-control-override": true, "my_cdn_cache_control": true, "cache_control": true,
		"cache-control": false, "pragma": false, "vary": false, "surrogate-key": false, "cache-tag": false, "x-accel-buffering": false,
		"access-control-allow-origin": false, "x-dns-prefetch-control": false, "set-cookie": false, "date": false, "": false,
	} {
		if got := cacheHeader([]byte(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// answered is the exchange of a token, with the headers of the provider's answer.
func answered(t *testing.T, headers map[string]any) map[string]proto.Message {
	t.Helper()
	given, err := structpb.NewStruct(headers)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]proto.Message{
		"kong.service.response.get_status":   &kong_plugin_protocol.Int{V: 200},
		"kong.service.response.get_raw_body": &kong_plugin_protocol.ByteString{V: []byte(`{"access_token":"x"}`)},
		"kong.request.get_raw_body":          &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte("grant_type=password")}},
		"kong.response.get_headers":          given,
	}
}

// TestHeadersThatHide: an answer of which a cache's header can't be seen or be
// deleted isn't one to send a token with.
func TestHeadersThatHide(t *testing.T) {
	many := make([]any, maxHeaders)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	i := start(t, goodConfig)
	for name, tt := range map[string]struct {
		headers map[string]any
		refused bool
	}{
		"ordinary":                     {map[string]any{"content-type": "application/json", "set-cookie": many[:2]}, false},
		"a cache's":                    {map[string]any{"cdn-cache-control": "max-age=600"}, false},
		"as many as Kong gives":        {map[string]any{"set-cookie": many}, true},
		"one that can't be deleted":    {map[string]any{"cdn_cache-control": "max-age=600"}, true},
		"one that would spoil an exit": {map[string]any{"ü-cache-control": "max-age=600"}, true},
		"another with an underscore":   {map[string]any{"x_provider": "a"}, false},
	} {
		k := &kongSide{replies: answered(t, tt.headers)}
		k.handle(t, i.response)
		if refused := k.exit != nil && k.exit.Status == 502; refused != tt.refused {
			t.Errorf("%s: exit %v, log %q", name, k.exit, k.log)
		}
	}
}

// TestPassedInDoubt: where nobody is stopped, an answer that nobody read may have
// a token, too.
func TestPassedInDoubt(t *testing.T) {
	broken := newTestInstances(t).start([]byte(strings.Replace(observing, `"issuer"`, `"leeway":-1,"issuer"`, 1)))
	k := &kongSide{replies: answered(t, map[string]any{"cdn-cache-control": "max-age=600"})}
	k.handle(t, broken.response)
	if k.exit != nil || !slices.Contains(k.calls, "kong.response.set_header") || !slices.Contains(k.calls, "kong.response.clear_header") {
		t.Errorf("exit %v, calls %v", k.exit, k.calls)
	}
	access := &kongSide{}
	access.handle(t, broken.access)
	if slices.Contains(access.calls, "kong.response.get_headers") { // Kong would fail the event
		t.Errorf("access asks %v", access.calls)
	}
}

// FuzzCacheHeaders: what is read by hand is what the protocol's own types read.
func FuzzCacheHeaders(f *testing.F) {
	for _, headers := range []map[string]any{{"cdn-cache-control": "a", "x": []any{"a", "b"}}, {"expires": []any{}}} {
		s, err := structpb.NewStruct(headers)
		if err != nil {
			f.Fatal(err)
		}
		message, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		k := &kong{}
		_, err := k.parseCacheHeaders(message)
		var s structpb.Struct
		if proto.Unmarshal(message, &s) != nil || err != nil {
			return
		}
		for name := range s.Fields {
			if cacheHeader([]byte(name)) && deletable([]byte(name)) && !slices.Contains(k.cacheHeaders, name) {
				t.Fatalf("%q isn't among %q", name, k.cacheHeaders)
			}
		}
	})
}
