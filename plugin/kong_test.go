package plugin

import (
	"testing"

	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/test/pdktest"
)

// handles is a plugin whose events are handled by a function.
type handles func(*pdk.Event)

func (handles) StartInstance([]byte) pdk.Instance            { return pdk.Instance{} }
func (handles) FindInstance(int32) (_ pdk.Instance, ok bool) { return pdk.Instance{}, false }
func (h handles) HandleEvent(k *pdk.Event) (known bool)      { h(k); return true }

// handle has a handler handle one event of a phase, with k as Kong.
func handle(t *testing.T, k *pdktest.Kong, phase string, handler func(*pdk.Event)) {
	t.Helper()
	k.Handle(t, phase, pdk.NewServer(Name, handles(handler)).ServeConn)
}
