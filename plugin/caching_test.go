package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/test/pdktest"
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
			t.Errorf("cacheHeader(%s) = %t, want %t", name, got, want)
		}
	}
}

// answered is the exchange of a token, with the headers of the provider's answer.
func answered(t *testing.T, headers map[string]any) pdktest.Replies {
	t.Helper()
	return pdktest.Replies{
		"kong.service.response.get_status":   pdktest.Number(200),
		"kong.service.response.get_raw_body": pdktest.Text(`{"access_token":"x"}`),
		"kong.request.get_raw_body":          pdktest.Body("grant_type=password"),
		"kong.response.get_headers":          pdktest.Headers(t, headers),
	}
}

// TestHeadersThatHide: no token is sent with an answer whose headers for caches may
// be hidden or can't be deleted.
func TestHeadersThatHide(t *testing.T) {
	many := make([]any, pdk.MaxHeaders)
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
		k := &pdktest.Kong{Replies: answered(t, tt.headers)}
		handle(t, k, "response", i.handleEvent)
		if refused := k.Exit != nil && k.Exit.Status == 502; refused != tt.refused {
			t.Errorf("%s: exit %v, want refused %t; log %q", name, k.Exit, tt.refused, k.Log)
		}
	}
}

// TestFailedEventForbidsStoring: where nobody is stopped, an answer that nobody read
// may have a token, too.
func TestFailedEventForbidsStoring(t *testing.T) {
	broken := newTestInstances(t).start([]byte(strings.Replace(observing, `"issuer"`, `"leeway":-1,"issuer"`, 1)))
	k := &pdktest.Kong{Replies: answered(t, map[string]any{"cdn-cache-control": "max-age=600"})}
	handle(t, k, "response", broken.handleEvent)
	if k.Exit != nil || !slices.Contains(k.Calls, "kong.response.set_header") || !slices.Contains(k.Calls, "kong.response.clear_header") {
		t.Errorf("exit %v, calls %v", k.Exit, k.Calls)
	}
	access := &pdktest.Kong{}
	handle(t, access, "access", broken.handleEvent)
	if slices.Contains(access.Calls, "kong.response.get_headers") { // Kong would fail the event
		t.Errorf("access asks %v", access.Calls)
	}
}
