package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// client asks over one connection. It writes requests as they come and does
// little else: it runs on the cores that it measures.
type client struct {
	address string
	conn    net.Conn // nil before the first request and after one that closes
	in      *bufio.Reader
}

// answerTimeout bounds one request.
const answerTimeout = 20 * time.Second

// ask sends a request and returns its answer's body, which must be of status
// 200, as far as keep says.
func (c *client) ask(request []byte, keep io.Writer) error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	if _, err := io.Copy(keep, resp.Body); err != nil {
		return err
	}
	if resp.Close {
		return c.close()
	}
	return nil
}

func (c *client) close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// load sends what next returns over n connections, on each one request after
// the other, until span is over. It returns how long the answers took, sorted.
func load(ctx context.Context, address string, n int, span time.Duration, next func() []byte) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var (
		mu      sync.Mutex
		all     []time.Duration
		failure error
		clients sync.WaitGroup
	)
	for range n {
		clients.Go(func() {
			own, err := (&client{address: address}).repeat(ctx, next)
			if err != nil {
				cancel() // one wrong answer makes the figures wrong
			}
			mu.Lock()
			defer mu.Unlock()
			all, failure = append(all, own...), errors.Join(failure, err)
		})
	}
	clients.Wait()
	if failure == nil && len(all) == 0 {
		failure = errors.New("no answer in time")
	}
	slices.Sort(all)
	return all, failure
}

// repeat asks until ctx ends.
func (c *client) repeat(ctx context.Context, next func() []byte) (took []time.Duration, err error) {
	defer func() { err = errors.Join(err, c.close()) }()
	for ctx.Err() == nil {
		begin := time.Now()
		if err := c.ask(next(), io.Discard); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// tokenRequest asks for a token of the application called id.
func tokenRequest(id string) []byte {
	form := "grant_type=client_credentials&client_id=" + id + "&client_secret=s&audience=https%3A%2F%2Fapi.example.com"
	return fmt.Appendf(nil, "POST /oauth2/token HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(form), form)
}

// jwksRequest asks for the gateway's public keys.
func jwksRequest() []byte { return []byte("GET /m2m/jwks.json HTTP/1.1\r\nHost: gateway\r\n\r\n") }

// always returns the same request again and again.
func always(request []byte) func() []byte { return func() []byte { return request } }

// hostPort is the address of a gateway's URL.
func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }
