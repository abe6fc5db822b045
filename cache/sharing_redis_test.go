package cache

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// sharer is the reader with what reuse.shared needs.
var sharer = slices.Concat(reader, []string{"+getrange", "+psetex"})

// shares has one gateway share an answer, and waits until another one finds it.
func shares(t *testing.T, from, to *Records, name, value string) {
	t.Helper()
	from.ShareAnswer(name, []byte(value), time.Hour)
	await.True(t, "shared answer", func() bool {
		got, err := to.SharedAnswer(t.Context(), name)
		return err == nil && string(got) == value
	})
}

// TestSharing: gateways share answers through every kind of Redis.
func TestSharing(t *testing.T) {
	t.Parallel()
	ca := redistest.NewCA(t)
	cert, key := ca.Issue(t, "client")
	for name, start := range map[string]func(*testing.T) (*schema.Config, redis.UniversalClient){
		"server": func(t *testing.T) (*schema.Config, redis.UniversalClient) {
			server := redistest.Start(t, sharer...)
			return configAt(server.Port(), asReader), server.Client()
		},
		"TLS": func(t *testing.T) (*schema.Config, redis.UniversalClient) {
			server := redistest.Start(t, append(ca.Args(true, "redis.internal"), sharer...)...)
			return configAt(0, overTLS(server.TLSPort(), ca.File(), cert, key, "redis.internal")), server.Client()
		},
		"Sentinel": func(t *testing.T) (*schema.Config, redis.UniversalClient) {
			s := redistest.StartSentinel(t, 1, 3, sharer...)
			return bySentinel(s), s.Client()
		},
		"cluster": func(t *testing.T) (*schema.Config, redis.UniversalClient) {
			c := redistest.StartCluster(t, 3, 0, slices.Concat(clusterReader, []string{"+getrange", "+psetex"})...)
			return inCluster(c), c.Client()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, client := start(t)
			a, b := open(t, cfg), open(t, cfg)
			if got, err := b.SharedAnswer(t.Context(), "none"); got != nil || err != nil {
				t.Errorf("got %q, %v, want none", got, err)
			}
			for _, name := range []string{"one", "two", "three", "four"} { // on several masters of a cluster
				shares(t, a, b, name, "the answer "+name)
			}
			shares(t, b, a, "one", "a newer answer")
			for _, name := range []string{"one", "two", "three", "four"} {
				if left := client.PTTL(t.Context(), schema.SharedAnswerKey(prefix, name)).Val(); left <= 59*time.Minute || left > time.Hour {
					t.Errorf("%s is kept for %v, want its life", name, left)
				}
			}
		})
	}
}

// TestSharedAnswersEnd: Redis forgets an answer when its life ends.
func TestSharedAnswersEnd(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, sharer...)
	r := lookups(t, server, asReader)
	shares(t, r, r, "a", "x")
	r.ShareAnswer("a", []byte("y"), 20*time.Millisecond)
	await.True(t, "end of the answer", func() bool {
		got, err := r.SharedAnswer(t.Context(), "a")
		return got == nil && err == nil
	})
	if keys := server.Client().Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("Redis has %v, want nothing", keys)
	}
}

// TestForeignAnswers: what can't be an answer is refused, and no more than the
// largest answer is read of it. Redis is well: others are answered.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, sharer...)
	r := lookups(t, server, asReader)
	largest := bytes.Repeat([]byte("x"), maxSharedAnswer)
	set := func(name string, value any) {
		if err := server.Client().Set(t.Context(), schema.SharedAnswerKey(prefix, name), value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("large", largest)
	set("larger", append(slices.Clone(largest), 'x'))
	set("empty", "")
	write(t, server, schema.SharedAnswerKey(prefix, "hash"), "a", "b")
	for range 3 {
		for name, want := range map[string]error{"large": nil, "larger": schema.ErrInvalidRecord, "hash": schema.ErrInvalidRecord, "empty": nil} {
			got, err := r.SharedAnswer(t.Context(), name)
			if !errors.Is(err, want) || (name == "large") != bytes.Equal(got, largest) {
				t.Errorf("%s: got %d bytes, %v, want %v", name, len(got), err, want)
			}
		}
	}
	shares(t, r, r, "hash", "an answer")
}

// TestSharingFaults: whatever happens to Redis, there is no answer in time. After
// that, Redis is left alone for a second.
func TestSharingFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]func(*redistest.Server, *redistest.Proxy){
		"stopped": func(s *redistest.Server, _ *redistest.Proxy) { s.Stop() },
		"paused":  func(s *redistest.Server, _ *redistest.Proxy) { s.Pause() },
		"refused": func(_ *redistest.Server, p *redistest.Proxy) { p.Refuse(); p.Drop() },
		"held":    func(_ *redistest.Server, p *redistest.Proxy) { p.Hold() },
		"slow":    func(_ *redistest.Server, p *redistest.Proxy) { p.Delay(10 * patience) },
	}
	for _, reply := range []string{"LOADING Redis is loading the dataset in memory", "OOM command not allowed", "NOPERM no permission", "CLUSTERDOWN The cluster is down"} {
		faults[strings.Fields(reply)[0]] = func(_ *redistest.Server, p *redistest.Proxy) {
			p.Handle(func([]string) (string, bool) { return "-" + reply + "\r\n", true })
		}
	}
	for name, fail := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, sharer...)
			r, proxy := throughProxy(t, server)
			skip := skipping(r)
			shares(t, r, r, "a", "x")
			fail(server, proxy)
			for i := 0; r.SharingStats().Skipped == 0; i++ {
				r.ShareAnswer("b", []byte("y"), time.Hour)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				begin := time.Now()
				got, err := r.SharedAnswer(ctx, string(rune('c'+i%20)))
				if took := time.Since(begin); got != nil || !errors.Is(err, schema.ErrUnavailable) || took > r.budget() {
					t.Errorf("got %q, %v after %v, want that it is unavailable within %v", got, err, took, patience)
				}
				cancel()
			}
			switch name {
			case "stopped":
				server.Restart()
			case "paused":
				server.Resume()
			}
			proxy.Pass()
			await.True(t, "shared answer", func() bool {
				skip(retryInterval)
				r.ShareAnswer("a", []byte("z"), time.Hour)
				got, err := r.SharedAnswer(t.Context(), "a")
				return err == nil && string(got) == "z"
			})
		})
	}
}

// TestSharingBehindAProxy: sharing needs only commands that Redis proxies know, in
// their forms.
func TestSharingBehindAProxy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, handler := range map[string]redistest.Handler{"twemproxy": redistest.Twemproxy, "Envoy": redistest.Envoy} {
		t.Run(name, func(t *testing.T) {
			r := behind(t, handler, server)
			shares(t, r, r, name, "x")
			marked(t, r, "")
		})
	}
}

// TestSharingSends: an answer costs a command to read and one to write.
func TestSharingSends(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, sharer...)
	r, proxy := throughProxy(t, server)
	var mu sync.Mutex
	var sent []string
	proxy.Handle(func(command []string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, strings.ToLower(command[0]))
		return "", false
	})
	if _, err := r.SharedAnswer(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	r.ShareAnswer("a", []byte("x"), time.Hour)
	await.True(t, "answer in Redis", func() bool {
		return server.Client().Exists(t.Context(), schema.SharedAnswerKey(prefix, "a")).Val() == 1
	})
	mu.Lock()
	defer mu.Unlock()
	sent = slices.DeleteFunc(sent, func(command string) bool { return command == "auth" }) // of each connection
	if got := strings.Join(sent, " "); got != "getrange psetex" {
		t.Errorf("got the commands %s, want getrange psetex", got)
	}
}
