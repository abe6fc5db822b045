package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"m2m-token-enricher/plugin/jws"
)

// TestNews: the log tells once what serves, and again when the keys change.
func TestNews(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(kind string) string {
		text, err := jws.Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := jws.ParseRing(text)
		if err != nil {
			t.Fatal(err)
		}
		return ring.Keys()[0].ID
	}
	kid := write("ec")
	i := start(t, strings.Replace(goodConfig, "/nonexistent/keys.json", file, 1))
	if _, err := i.running.keys.Ring(t.Context()); err != nil {
		t.Fatal(err)
	}
	said := func() []string {
		k := &kongSide{replies: map[string]proto.Message{}}
		k.handle(t, i.access)
		var news []string
		for _, line := range k.log {
			if strings.HasPrefix(line, "serving ") {
				news = append(news, line)
			}
		}
		return news
	}
	news := said()
	if len(news) != 1 {
		t.Fatalf("said %q", news)
	}
	for _, want := range []string{`issuer="https://example.kinde.com"`, "signs=" + kid, "ES256", `redis="redis at 127.0.0.1:1"`, "mode=enforce", "policy=stop"} {
		if !strings.Contains(news[0], want) {
			t.Errorf("%q isn't in %s", want, news[0])
		}
	}
	if again := said(); len(again) != 0 {
		t.Errorf("said again %q", again)
	}
}

// TestState: of the ring's keys the first signs, and without a ring or the
// provider's keys no token can be enriched.
func TestState(t *testing.T) {
	first, second := generated(t), generated(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"keys":[%s,%s]}`, first, second), 0o600); err != nil {
		t.Fatal(err)
	}
	i := start(t, strings.Replace(goodConfig, "/nonexistent/keys.json", file, 1))
	if _, err := i.running.keys.Ring(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := i.running.state("c")
	if len(s.Keys) != 2 || s.Keys[0].Role != "signing" || s.Keys[1].Role != "published" || s.Keys[0].Algorithm != "ES256" || s.KeyFile.IsZero() {
		t.Errorf("got %+v", s)
	}
	if s.NotReady == nil || strings.Contains(s.NotReady.Error(), "signing key") {
		t.Errorf("not ready: %v", s.NotReady)
	}
	s = start(t, goodConfig).running.state("c")
	if s.NotReady == nil || !strings.Contains(s.NotReady.Error(), "no signing key") || len(s.Keys) != 0 {
		t.Errorf("without a key file: %+v", s)
	}
}

// generated is a private JWK.
func generated(t *testing.T) json.RawMessage {
	t.Helper()
	text, err := jws.Generate("ec")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}
