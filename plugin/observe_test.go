package plugin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/gateway"
)

var observing = strings.Replace(goodConfig, `"__seq__"`, `"mode":"observe","__seq__"`, 1)

// wantUntouched fails unless the upstream's answer stays and the log tells why
// it couldn't be observed.
func wantUntouched(t *testing.T, k *kongSide) {
	t.Helper()
	if k.exit != nil {
		t.Errorf("exit %v", k.exit)
	}
	if len(k.log) == 0 || !strings.Contains(k.log[0], "outcome=internal_error") || !strings.Contains(k.log[0], "answer=upstream") {
		t.Errorf("log %q", k.log)
	}
}

// TestObserveStopsNothing: not even a panic or a mistake in the configuration.
func TestObserveStopsNothing(t *testing.T) {
	k := &kongSide{replies: map[string]proto.Message{"kong.service.response.get_status": &kong_plugin_protocol.Int{V: 200}}}
	k.handle(t, withoutEnricher(t, observing).response)
	wantUntouched(t, k)

	wrong := start(t, strings.Replace(observing, "organization.code", "team.code", 1))
	for _, handler := range []func(*kong){wrong.access, wrong.response} {
		k := &kongSide{}
		k.handle(t, handler)
		wantUntouched(t, k)
	}
}

// TestDeadline: a handler has the configured time, and no more.
func TestDeadline(t *testing.T) {
	i := start(t, strings.Replace(goodConfig, `"__seq__"`, `"timeout":50,"__seq__"`, 1))
	k := &kongSide{}
	k.handle(t, func(p *kong) {
		before := time.Now()
		i.handle(p, func(ctx context.Context, _ *kong, _ *gateway.Gateway) error {
			deadline, ok := ctx.Deadline()
			if !ok || deadline.After(before.Add(50*time.Millisecond+time.Second)) {
				t.Errorf("deadline %v", deadline)
			}
			return nil
		})
	})
}

// TestFetchedAtStart: the provider's keys are asked for when Kong starts an
// instance, not when the first token needs them.
func TestFetchedAtStart(t *testing.T) {
	asked := make(chan string, 1)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer provider.Close()
	start(t, strings.Replace(goodConfig, "http://127.0.0.1:1/jwks", provider.URL+"/jwks", 1))
	select {
	case path := <-asked:
		if path != "/jwks" {
			t.Errorf("asked for %s", path)
		}
	case <-time.After(20 * time.Second):
		t.Error("the provider wasn't asked")
	}
}

// TestTextsThatArentUTF8: a client may send any byte.
func TestTextsThatArentUTF8(t *testing.T) {
	k := &kongSide{replies: map[string]proto.Message{
		"kong.service.response.get_status": &kong_plugin_protocol.Int{V: 200},
		"kong.nginx.get_var":               &kong_plugin_protocol.ByteString{V: []byte("Bearer \xff")},
	}}
	k.handle(t, func(p *kong) {
		x, err := p.exchange()
		if err == nil {
			err = p.rest(&x)
		}
		if err != nil || x.Request.Authorization != "Bearer \xff" {
			t.Errorf("got %q, %v", x.Request.Authorization, err)
		}
	})
}
