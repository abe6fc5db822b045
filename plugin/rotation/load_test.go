package rotation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// The load of the simulation.
const (
	tokensPerSecond = 64
	consumers       = 8
	issuer          = "https://example.kinde.com"
)

// node is a gateway whose key file an operator changes.
type node struct {
	path string
	keys *jws.KeyFile
}

// consumer is an API that caches the published set for as long as it may, and
// fetches it from any node.
type consumer struct {
	keys    jws.ProviderKeys
	fetched time.Time
}

func (c *consumer) Keys(context.Context) (jws.ProviderKeys, error)    { return c.keys, nil }
func (c *consumer) Renewed(context.Context) (jws.ProviderKeys, error) { return c.keys, nil }

// simulation is gateways, consumers and one clock.
type simulation struct {
	t         *testing.T
	policy    Policy
	nodes     []node
	consumers []consumer
	now       time.Time
}

func newSimulation(t *testing.T, nodes int) *simulation {
	s := &simulation{t: t, now: start, policy: Policy{MaxAge: 10 * time.Second, TokenLife: 30 * time.Second, Every: 10 * time.Second}}
	text, err := Generate("ed25519", start)
	must(t, err)
	for range nodes {
		path := filepath.Join(t.TempDir(), "keys.json")
		must(t, Create(path, text))
		s.nodes = append(s.nodes, node{path, jws.NewKeyFile(path, "", s.time)})
	}
	for i := range consumers { // out of step with each other
		s.consumers = append(s.consumers, consumer{s.published(s.nodes[0]), start.Add(-s.policy.MaxAge * time.Duration(i) / consumers)})
	}
	return s
}

func (s *simulation) time() time.Time { return s.now }

func (s *simulation) ring(n node) *jws.Ring {
	ring, err := n.keys.Ring(context.Background())
	must(s.t, err)
	return ring
}

func (s *simulation) published(n node) jws.ProviderKeys {
	keys, err := jws.ParseProviderKeys(s.ring(n).PublicSet())
	must(s.t, err)
	return keys
}

// second issues the tokens of one second, and lets consumers verify them.
func (s *simulation) second() {
	for i := range tokensPerSecond {
		i += s.now.Second()
		// Out of step with the nodes, so each consumer meets each node.
		c, from := &s.consumers[i/3%consumers], s.nodes[i/7%len(s.nodes)]
		token, err := s.ring(s.nodes[i%len(s.nodes)]).Sign(context.Background(), nil, fmt.Appendf(nil, `{"iss":%q,"exp":%d}`, issuer, s.now.Add(s.policy.TokenLife).Unix()))
		must(s.t, err)
		if s.now.Sub(c.fetched) >= s.policy.MaxAge {
			c.keys, c.fetched = s.published(from), s.now
		}
		if _, err := jws.NewVerifier(issuer, []string{"EdDSA"}, 0, c, s.time).Verify(context.Background(), token); err != nil {
			s.t.Fatalf("%v after the start: %v", s.now.Sub(start), err)
		}
	}
	s.now = s.now.Add(time.Second)
}

// TestRotationUnderLoad rotates while tokens are issued: none is refused.
// Other nodes get each new file 30 s after the first.
func TestRotationUnderLoad(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			s := newSimulation(t, nodes)
			late := map[time.Time][]byte{}
			var steps []string
			for len(steps) < 4 {
				taken, _, err := Rotate(s.nodes[0].path, s.policy, s.now)
				must(t, err)
				if taken != nil {
					steps = append(steps, taken.Verb)
				}
				text, err := os.ReadFile(s.nodes[0].path)
				must(t, err)
				late[s.now.Add(30*time.Second)] = text
				for _, n := range s.nodes[1:] {
					if text := late[s.now]; text != nil {
						must(t, os.WriteFile(n.path, text, 0o600))
					}
				}
				s.second()
				if s.now.Sub(start) > time.Hour {
					t.Fatal("the rotation doesn't end")
				}
			}
			if got, want := fmt.Sprint(steps), "[add promote add retire]"; got != want {
				t.Errorf("steps %s, want %s", got, want)
			}
		})
	}
}
