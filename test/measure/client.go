// Package measure is shared by the bench and the soak: clients that use little
// CPU, a stub provider that signs in advance, records in Redis, figures of a
// process, and verdicts on goals.
package measure

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Client asks over one connection. It uses little CPU: it runs on the cores that
// it measures.
type Client struct {
	Address string
	conn    net.Conn // nil before the first request and after one that closes
	in      *bufio.Reader
}

// answerTimeout bounds one request.
const answerTimeout = 20 * time.Second

// Refusal is an answer of another status than 200.
type Refusal struct {
	Status int
	Body   []byte // its first KiB
}

func (r *Refusal) Error() string { return fmt.Sprintf("status %d: %s", r.Status, r.Body) }

// Ask sends a request and writes its answer's body to keep. The error is a
// *Refusal unless the status is 200. After any other error the next request has
// a new connection.
func (c *Client) Ask(request []byte, keep io.Writer) error {
	err := c.exchange(request, keep)
	if err != nil && !errors.As(err, new(*Refusal)) {
		return errors.Join(err, c.Close())
	}
	return err
}

func (c *Client) exchange(request []byte, keep io.Writer) error {
	if err := c.connect(); err != nil {
		return err
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
	var refusal error // not a *Refusal: a nil one would be an error
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err != nil {
			return err
		}
		refusal, keep = &Refusal{resp.StatusCode, body}, io.Discard
	}
	if _, err := io.Copy(keep, resp.Body); err != nil {
		return err
	}
	if resp.Close {
		return errors.Join(refusal, c.Close())
	}
	return refusal
}

func (c *Client) connect() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.Dial("tcp", c.Address)
	if err == nil {
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	return err
}

// Close closes the connection, if there is one.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// TokenRequest asks for a token of the application called id.
func TokenRequest(id string) []byte {
	return FormRequest("grant_type=client_credentials&client_id=" + id + "&client_secret=s&audience=https%3A%2F%2Fapi.example.com")
}

// FormRequest asks for a token with a form.
func FormRequest(form string) []byte {
	return fmt.Appendf(nil, "POST /oauth2/token HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(form), form)
}

// JWKSRequest asks for the gateway's public keys.
func JWKSRequest() []byte { return []byte("GET /m2m/jwks.json HTTP/1.1\r\nHost: gateway\r\n\r\n") }

// HostPort is the address of a gateway's URL.
func HostPort(url string) string { return strings.TrimPrefix(url, "http://") }
