package measure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const prefix = "m2m:example.kinde.com:" // follows from the issuer in kong.yml

// ApplicationID is the client id of the i-th application.
func ApplicationID(i int) string { return fmt.Sprintf("%032x", uint64(i+1)*0x9e3779b97f4a7c15) }

// ApplicationIDs are those of the first n applications.
func ApplicationIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = ApplicationID(i)
	}
	return ids
}

// Records is a Redis with records in it.
type Records struct {
	Address string
	client  *redis.Client
	server  *redisServer // nil if it is miniredis
	mini    *miniredis.Miniredis
}

// KindOfRedis names the server of the records.
func KindOfRedis() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "miniredis within the load generator, since there is no redis-server here"
	}
	return "redis-server"
}

// StartRecords starts a Redis with n applications in a number of organizations.
// Each application has four properties and extra more.
func StartRecords(ctx context.Context, n, organizations, extra int) (*Records, error) {
	logging.Disable() // of go-redis: it logs every attempt before the server listens
	r := &Records{}
	var err error
	if KindOfRedis() == "redis-server" {
		if r.server, err = newRedisServer(); err == nil {
			r.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(r.server.port))
		}
	} else if r.mini, err = miniredis.Run(); err == nil {
		r.Address = r.mini.Addr()
	}
	if err != nil {
		return nil, err
	}
	r.client = redis.NewClient(&redis.Options{Addr: r.Address})
	if err = r.await(ctx); err == nil {
		err = r.fill(ctx, n, organizations, extra)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Stop ends redis-server as an operator does. The server saves its data first.
func (r *Records) Stop(ctx context.Context) error {
	if r.server == nil {
		return errors.New("only a redis-server can be stopped")
	}
	_ = r.client.ShutdownSave(ctx).Err() // the end of the connection is the answer
	return r.server.wait(ctx)
}

// Restart starts redis-server again on its port with its data, and returns
// when it answers.
func (r *Records) Restart(ctx context.Context) error {
	if err := r.server.run(); err != nil {
		return err
	}
	return r.await(ctx)
}

// Close ends the Redis and its data.
func (r *Records) Close() error {
	err := r.client.Close()
	if r.server == nil {
		r.mini.Close()
		return err
	}
	return errors.Join(err, r.server.close())
}

// await waits until the server answers.
func (r *Records) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := r.client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis at %s: %w", r.Address, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fill writes n applications and their organizations.
func (r *Records) fill(ctx context.Context, n, organizations, extra int) error {
	for i := 0; i < n; {
		pipe := r.client.Pipeline()
		for range min(1000, n-i) {
			pipe.HSet(ctx, prefix+"app:"+ApplicationID(i), properties(i, organizations, extra))
			i++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("write applications: %w", err)
		}
	}
	for i := range organizations {
		if err := r.client.HSet(ctx, prefix+"org:"+Organization(i), "code", Organization(i), "name", OrganizationName(i)).Err(); err != nil {
			return fmt.Errorf("write organizations: %w", err)
		}
	}
	return nil
}

// properties are those of the i-th application, as names and values in turn.
func properties(i, organizations, extra int) []string {
	p := []string{"org_code", Organization(i % organizations), "region", "eu-west-1", "plan", "gold", "name", fmt.Sprintf("Application number %d", i)}
	for e := range extra {
		p = append(p, Property(e), fmt.Sprintf("the value of %d", e))
	}
	return p
}

// Organization is the code of the i-th organization.
func Organization(i int) string { return fmt.Sprintf("org_%012x", i) }

// OrganizationName is what the i-th organization is called.
func OrganizationName(i int) string { return fmt.Sprintf("Organization number %d", i) }

// Property is the name of the i-th further property.
func Property(i int) string { return fmt.Sprintf("property_%02d", i) }
