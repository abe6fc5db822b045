package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

const (
	prefix        = "m2m:example.kinde.com:" // what the issuer in kong.yml makes it
	organizations = 100                      // that applications belong to
)

// applicationID is the client id of the i-th application.
func applicationID(i int) string { return fmt.Sprintf("%032x", uint64(i+1)*0x9e3779b97f4a7c15) }

func applicationIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = applicationID(i)
	}
	return ids
}

// records is a Redis with records in it.
type records struct {
	address string
	client  *redis.Client
	stop    func() error
}

// kindOfRedis is what records are in.
func kindOfRedis() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "miniredis within the load generator, since there is no redis-server here"
	}
	return "redis-server"
}

// startRecords starts a Redis with n applications of four properties and of as
// many more as extra says.
func startRecords(ctx context.Context, n, extra int) (*records, error) {
	r := &records{}
	var err error
	if kindOfRedis() == "redis-server" {
		err = r.run()
	} else {
		var mini *miniredis.Miniredis
		if mini, err = miniredis.Run(); err == nil {
			r.address, r.stop = mini.Addr(), func() error { mini.Close(); return nil }
		}
	}
	if err != nil {
		return nil, err
	}
	r.client = redis.NewClient(&redis.Options{Addr: r.address})
	if err = r.await(ctx); err == nil {
		err = r.fill(ctx, n, extra)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// run starts a redis-server that keeps nothing.
func (r *records) run() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := server.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	r.address = net.JoinHostPort("127.0.0.1", port)
	r.stop = func() error {
		err := server.Process.Kill()
		_ = server.Wait() // killed
		return err
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// await waits until the server answers.
func (r *records) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := r.client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis at %s: %w", r.address, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fill writes n applications and their organizations.
func (r *records) fill(ctx context.Context, n, extra int) error {
	for i := 0; i < n; {
		pipe := r.client.Pipeline()
		for range min(1000, n-i) {
			pipe.HSet(ctx, prefix+"app:"+applicationID(i), properties(i, extra))
			i++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("write applications: %w", err)
		}
	}
	for i := range organizations {
		if err := r.client.HSet(ctx, prefix+"org:"+organization(i), "code", organization(i), "name", "Acme Inc").Err(); err != nil {
			return fmt.Errorf("write organizations: %w", err)
		}
	}
	return nil
}

// properties are those of the i-th application, as names and values in turn.
func properties(i, extra int) []string {
	p := []string{"org_code", organization(i), "region", "eu-west-1", "plan", "gold", "name", fmt.Sprintf("Application number %d", i)}
	for e := range extra {
		p = append(p, property(e), fmt.Sprintf("the value of %d", e))
	}
	return p
}

func organization(i int) string { return fmt.Sprintf("org_%012x", i%organizations) }

// property is the name of the i-th further property.
func property(i int) string { return fmt.Sprintf("property_%02d", i) }

func (r *records) close() error { return errors.Join(r.client.Close(), r.stop()) }
