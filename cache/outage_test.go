package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// TestServerRepeatsThePassword: a server that doesn't know AUTH says so with
// the arguments that it was given.
func TestServerRepeatsThePassword(t *testing.T) {
	server := redistest.Start(t, "--rename-command", "AUTH", "", "--rename-command", "HELLO", "", "--rename-command", "SCAN", "")
	r := lookups(t, server, asUser("m2m", "p4ssw0rd"))
	_, err := r.Record(t.Context(), schema.Application, "a")
	if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("got %v", err)
	}
	_, countErr := r.Count(t.Context(), 10)
	if countErr == nil || strings.Contains(fmt.Sprint(err, countErr), "p4ssw0rd") {
		t.Errorf("the errors show the password: %v; %v", err, countErr)
	}
}

// TestDefaultUser: a password without a user is the default user's.
func TestDefaultUser(t *testing.T) {
	server := redistest.Start(t)
	write(t, server, prefix+"app:a", "region", "eu")
	if err := server.Client().ConfigSet(t.Context(), "requirepass", "p4ssw0rd").Err(); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]error{"p4ssw0rd": nil, "wr0ng": schema.ErrUnavailable, "": schema.ErrUnavailable} {
		r := lookups(t, server, func(c map[string]any) { c["redis"].(map[string]any)["password"] = password })
		_, err := r.Record(t.Context(), schema.Application, "a")
		if !errors.Is(err, want) || strings.Contains(fmt.Sprint(err), "wr0ng") {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

// TestEveryRightIsNeeded: reading needs hmget and exists on keys that may be
// read only; select if the database isn't 0; scan to count.
func TestEveryRightIsNeeded(t *testing.T) {
	server := redistest.Start(t)
	write(t, server, prefix+"app:a", "region", "eu")
	const all = "+hmget +exists +select +scan"
	for without, wants := range map[string]struct{ record, absent, database, count bool }{
		"":        {true, true, true, true},
		"+hmget":  {false, false, false, true},
		"+exists": {true, false, false, true},
		"+select": {true, true, false, true},
		"+scan":   {true, true, true, false},
	} {
		setUser := []any{"ACL", "SETUSER", "m2m", "reset", "on", ">p4ssw0rd", "%R~m2m:*", "-@all"}
		for _, right := range strings.Fields(all) {
			if right != without {
				setUser = append(setUser, right)
			}
		}
		if err := server.Client().Do(t.Context(), setUser...).Err(); err != nil {
			t.Fatal(err)
		}
		lookup := func(id string, database float64) error {
			r := lookups(t, server, func(c map[string]any) {
				asUser("m2m", "p4ssw0rd")(c)
				c["redis"].(map[string]any)["database"] = database
			})
			_, err := r.Record(t.Context(), schema.Application, id)
			return err
		}
		check := func(what string, err error, want error, allowed bool) {
			t.Helper()
			if !allowed {
				want = schema.ErrUnavailable
			}
			if !errors.Is(err, want) {
				t.Errorf("without %q: %s: %v", without, what, err)
			}
		}
		check("a record", lookup("a", 0), nil, wants.record)
		check("no record", lookup("absent", 0), schema.ErrNoRecord, wants.absent)
		check("another database", lookup("a", 1), schema.ErrNoRecord, wants.database)
		_, err := lookups(t, server, asUser("m2m", "p4ssw0rd")).Count(t.Context(), 10)
		if (err == nil) != wants.count {
			t.Errorf("without %q: count: %v", without, err)
		}
	}
}

// TestRestartOverTLS: no connection that died while it was idle makes a lookup
// fail, however many there are.
func TestRestartOverTLS(t *testing.T) {
	server, port, _ := startTLS(t)
	r := lookups(t, server, overTLS(port, false, ""))
	fillPool(t, r, 8)
	server.Restart()
	write(t, server, prefix+"app:a", "region", "us")
	if got, err := r.Record(t.Context(), schema.Application, "a"); err != nil || got["region"] != "us" {
		t.Errorf("got %v, %v", got, err)
	}
}

// fillPool leaves n idle connections in the pool.
func fillPool(t *testing.T, r *Records, n int) {
	t.Helper()
	client := r.store.(*store).client.(*redis.Client)
	release := make([]func() error, n)
	for i := range release {
		conn := client.Conn()
		if err := conn.Exists(t.Context(), "k").Err(); err != nil {
			t.Fatal(err)
		}
		release[i] = conn.Close
	}
	for _, close := range release {
		if err := close(); err != nil {
			t.Fatal(err)
		}
	}
	if idle := client.PoolStats().IdleConns; idle != uint32(n) {
		t.Fatalf("%d connections are idle", idle)
	}
}

// TestKilledDuringTraffic: whatever happens to Redis, a lookup ends with the
// record or as unavailable, and when Redis is back so is the service.
func TestKilledDuringTraffic(t *testing.T) {
	server := redistest.Start(t)
	r := lookups(t, server, nil)
	write(t, server, prefix+"app:a", "region", "eu")
	var answered atomic.Int64
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	for range 8 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := r.Record(t.Context(), schema.Application, "a")
				switch {
				case err == nil && got["region"] == "eu":
					answered.Add(1)
				case errors.Is(err, schema.ErrNoRecord): // empty after a restart
				case !errors.Is(err, schema.ErrUnavailable):
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	defer traffic.Wait()
	defer close(stop)
	eventually(t, "answers", func() bool { return answered.Load() > 100 })
	server.Restart()
	write(t, server, prefix+"app:a", "region", "eu")
	before := answered.Load()
	eventually(t, "answers after a restart", func() bool { return answered.Load() > before+100 })
}

// TestDownAtStart: nothing but a lookup needs Redis.
func TestDownAtStart(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	r := lookups(t, server, nil)
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	server.Restart()
	write(t, server, prefix+"app:a", "region", "eu")
	eventually(t, "a record", func() bool {
		_, err := r.Record(t.Context(), schema.Application, "a")
		return err == nil
	})
}

// eventually waits until is.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline.Done():
			t.Fatalf("no %s", what)
		}
	}
}

// TestSilenceIsMetOnce: who isn't answered in time doesn't try again and wait
// for as long once more, when the handler could go on with a held record.
func TestSilenceIsMetOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32 // every try has a connection of its own
	var server sync.WaitGroup
	server.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			server.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1024)) // HELLO, or the copy ends at once too
				_, _ = io.WriteString(conn, "-ERR unknown command\r\n")
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	r := New(configAt(t, l.Addr().(*net.TCPAddr).Port, func(c map[string]any) { c["redis"].(map[string]any)["timeout"] = 50.0 }))
	if _, err := r.Record(t.Context(), schema.Application, "a"); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	server.Wait()
	if n := accepted.Load(); n > 1 {
		t.Errorf("tried %d times", n)
	}
}
