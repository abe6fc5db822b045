package rotation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// The load of the simulation.
const (
	tokensPerSecond = 64
	workers         = 4
	consumers       = 8
	issuer          = "https://example.kinde.com"
)

// node is a gateway whose key file an operator changes.
type node struct {
	path string
	keys *jws.KeyFile
}

// consumer is an API that keeps the published set for as long as it may and
// not a second less, and fetches it from whichever node it meets.
type consumer struct {
	mu      sync.Mutex
	keys    jws.ProviderKeys
	fetched time.Time
}

func (c *consumer) Keys(context.Context) (jws.ProviderKeys, error)    { return c.keys, nil }
func (c *consumer) Renewed(context.Context) (jws.ProviderKeys, error) { return c.keys, nil }

// simulation is gateways, consumers and one clock.
type simulation struct {
	t         *testing.T
	policy    Policy
	nodes     []*node
	consumers []*consumer
	mu        sync.Mutex
	now       time.Time
}

func (s *simulation) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func newSimulation(t *testing.T, nodes int) *simulation {
	s := &simulation{t: t, now: start, policy: Policy{MaxAge: 10 * time.Second, TokenLife: 30 * time.Second, Every: 10 * time.Second}}
	text, err := Generate("ed25519", start)
	if err != nil {
		t.Fatal(err)
	}
	for range nodes {
		n := &node{path: filepath.Join(t.TempDir(), "keys.json")}
		n.keys = jws.NewKeyFile(n.path, "", s.time)
		s.nodes = append(s.nodes, n)
		s.write(n, text)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jws.ParseProviderKeys(ring.PublicSet())
	if err != nil {
		t.Fatal(err)
	}
	for i := range consumers { // out of step with each other
		fetched := start.Add(-s.policy.MaxAge * time.Duration(i) / consumers)
		s.consumers = append(s.consumers, &consumer{keys: keys, fetched: fetched})
	}
	return s
}

func (s *simulation) write(n *node, text []byte) {
	s.t.Helper()
	if err := os.WriteFile(n.path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// issue signs a token at a node and lets a consumer verify it.
func (s *simulation) issue(i int) error {
	now := s.time()
	ring, err := s.nodes[i%len(s.nodes)].keys.Ring(context.Background())
	if err != nil {
		return err
	}
	token, err := ring.Sign(context.Background(), nil, fmt.Appendf(nil, `{"iss":%q,"exp":%d}`, issuer, now.Add(s.policy.TokenLife).Unix()))
	if err != nil {
		return err
	}
	// Not in step with the nodes, so that each consumer meets each node.
	c, from := s.consumers[i/3%consumers], s.nodes[i/7%len(s.nodes)]
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.fetched) >= s.policy.MaxAge {
		published, err := from.keys.Ring(context.Background())
		if err != nil {
			return err
		}
		if c.keys, err = jws.ParseProviderKeys(published.PublicSet()); err != nil {
			return err
		}
		c.fetched = now
	}
	_, err = jws.NewVerifier(issuer, []string{"EdDSA"}, 0, c, s.time).Verify(context.Background(), token)
	return err
}

// second lets a second of load pass.
func (s *simulation) second() {
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			for i := range tokensPerSecond / workers {
				if err := s.issue(i*workers + w + s.time().Second()); err != nil {
					s.t.Errorf("%v after the start: %v", s.time().Sub(start), err)
					return
				}
			}
		})
	}
	running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Second)
}

// TestRotationUnderLoad rotates while tokens are issued: none is refused.
// Further nodes get each new file 30 s after the first.
func TestRotationUnderLoad(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			s := newSimulation(t, nodes)
			late := map[time.Time][]byte{}
			var steps []string
			for len(steps) < 4 && !t.Failed() {
				err := Update(s.nodes[0].path, func(set *Set) error {
					taken, _, err := set.Rotate(s.policy, s.now)
					if taken != nil {
						steps = append(steps, taken.Verb)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(s.nodes[0].path)
				if err != nil {
					t.Fatal(err)
				}
				late[s.now.Add(30*time.Second)] = text
				for _, n := range s.nodes[1:] {
					if text := late[s.now]; text != nil {
						s.write(n, text)
					}
				}
				s.second()
				if s.now.Sub(start) > time.Hour {
					t.Fatal("the rotation doesn't end")
				}
			}
			if got := fmt.Sprint(steps); got != "[add promote add retire]" && !t.Failed() {
				t.Errorf("steps %s", got)
			}
		})
	}
}
