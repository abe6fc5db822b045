package plugin

import (
	"fmt"
	"os"
	"testing"
)

// TestStateOf: metrics show the first key of the ring as the one that signs.
func TestStateOf(t *testing.T) {
	good, file := able(t)
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"keys":[%s,%s]}`, generated(t), generated(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := stateOf("c", ready(t, start(t, good)).gateway)
	if s.Config != "c" || s.Issuer != "https://example.kinde.com" || s.ProviderKeys.IsZero() || s.KeyFile.IsZero() || s.NotReady != nil {
		t.Errorf("got %+v", s)
	}
	if len(s.Keys) != 2 || s.Keys[0].Role != "signing" || s.Keys[1].Role != "published" || s.Keys[0].Algorithm != "ES256" {
		t.Errorf("keys %+v", s.Keys)
	}
}
