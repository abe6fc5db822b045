package plugin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/test/pdktest"
)

var observing = strings.Replace(goodConfig, `"__seq__"`, `"mode":"observe","__seq__"`, 1)

// wantUntouched fails unless the upstream's answer stays and the log says why it
// couldn't be observed.
func wantUntouched(t *testing.T, k *pdktest.Kong) {
	t.Helper()
	if k.Exit != nil {
		t.Errorf("exit %v", k.Exit)
	}
	if len(k.Log) == 0 || !strings.Contains(k.Log[0], "outcome=internal_error") || !strings.Contains(k.Log[0], "answer=upstream") {
		t.Errorf("log %q", k.Log)
	}
}

// TestObserveStopsNothing: not even a panic or an invalid configuration.
func TestObserveStopsNothing(t *testing.T) {
	k := &pdktest.Kong{Replies: pdktest.Replies{"kong.service.response.get_status": pdktest.Number(200)}}
	handle(t, k, "response", withoutEnricher(t, observing).handleEvent)
	wantUntouched(t, k)

	wrong := start(t, strings.Replace(observing, "organization.code", "team.code", 1))
	for _, phase := range []string{"access", "response"} {
		k := &pdktest.Kong{}
		handle(t, k, phase, wrong.handleEvent)
		wantUntouched(t, k)
	}
}

// TestDeadline: a handler has the configured time, and no more.
func TestDeadline(t *testing.T) {
	i := start(t, strings.Replace(goodConfig, `"__seq__"`, `"timeout":50,"__seq__"`, 1))
	handle(t, &pdktest.Kong{}, "response", func(k *pdk.Event) {
		before := time.Now()
		i.handle(i.event(k), func(ctx context.Context, _ *event) error {
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
