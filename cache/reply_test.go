package cache

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/redistest"
)

// TestErrorReplies: what Redis says when it can't serve, of which nothing is
// an answer about a record.
func TestErrorReplies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	for _, reply := range []string{
		"READONLY You can't write against a read only replica.",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"NOAUTH Authentication required.",
		"NOPERM this user has no permissions to run the 'hmget' command",
		"WRONGPASS invalid username-password pair or user is disabled.",
		"LOADING Redis is loading the dataset in memory",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"CLUSTERDOWN The cluster is down",
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"MOVED 1 127.0.0.1:1",
		"ERR max number of clients reached",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
	} {
		name, _, _ := strings.Cut(reply, " ")
		for what, handler := range map[string]redistest.Handler{
			"": func(command []string) (string, bool) {
				return "-" + reply + "\r\n", strings.EqualFold(command[0], "hmget")
			},
			" to the setup": func([]string) (string, bool) { return "-" + reply + "\r\n", true },
		} {
			t.Run(name+what, func(t *testing.T) {
				t.Parallel()
				r, proxy := throughProxy(t, server, nil)
				id := strings.ToLower(name + what)
				tr := drive(t, r, server.Client(), id+"1", id+"2")
				proxy.Handle(handler)
				proxy.Drop() // so that connections are set up
				tr.waitFor("failures", &tr.failed, 10)
				tr.fails(10)
				proxy.Handle(nil)
				tr.recovers(server.Client())
				await.True(t, "end of the connections", func() bool { return proxy.Open() == 0 })
			})
		}
	}
}

// TestWrongType: another type than a hash is an invalid record, after which
// Redis isn't left alone.
func TestWrongType(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	r := lookups(t, server, m2m)
	for i := range 20 {
		if err := server.Client().Set(t.Context(), fmt.Sprint(prefix, "app:text", i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		write(t, server, fmt.Sprint(prefix, "app:", i), "region", fmt.Sprint(i))
		if _, err := r.Record(t.Context(), schema.Application, fmt.Sprint("text", i)); !errors.Is(err, schema.ErrInvalidRecord) {
			t.Errorf("a string: %v", err)
		}
		if got := region(t, r, fmt.Sprint(i)); got != fmt.Sprint(i) {
			t.Errorf("a hash: %s", got)
		}
	}
}

// TestCutReply: a reply that ends anywhere is either asked for again or no
// answer, and never a shorter one. The next lookup isn't answered with its rest.
func TestCutReply(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, reader...)
	ids := []string{"a", "b"}
	for _, id := range ids {
		write(t, server, prefix+"app:"+id, "region", id+"/1", "org_code", id+"/1", "user_id", id+"/1")
	}
	const reply = len("*3\r\n") + 3*len("$3\r\na/1\r\n")
	for n := range reply + 2 {
		r, proxy := throughProxy(t, server, nil)
		skip := skipping(r)
		whole := func(id string) error {
			got, err := r.Record(t.Context(), schema.Application, id)
			for _, name := range []string{"region", "org_code", "user_id"} {
				if err == nil && got[name] != id+"/1" {
					t.Errorf("cut after %d bytes: %s is %v", n, id, got)
				}
			}
			return err
		}
		if err := whole("a"); err != nil {
			t.Fatal(err)
		}
		proxy.CutReply(n)
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				if err := whole(ids[i%2]); err != nil && !errors.Is(err, schema.ErrUnavailable) {
					t.Errorf("cut after %d bytes: %v", n, err)
				}
			})
		}
		callers.Wait()
		skip(retryInterval)
		for _, id := range ids {
			if err := whole(id); err != nil {
				t.Errorf("after a cut after %d bytes: %v", n, err)
			}
		}
		closed(t, r)
		await.True(t, "end of the connections", func() bool { return proxy.Open() == 0 })
	}
	waitClosed(t, server)
}
