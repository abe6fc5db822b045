package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// server starts an allowed host and returns a client that may ask it alone.
func server(t *testing.T, handler http.HandlerFunc) (base string, c *Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, New(domain, []string{strings.TrimPrefix(s.URL, "https://")}, s.Client().Transport)
}

func get(t *testing.T, c *Client, url string) (Response, error) {
	t.Helper()
	return c.Do(t.Context(), Request{URL: url}, clientID, known)
}

func TestAnswer(t *testing.T) {
	base, c := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, `{"a":1}`)
	})
	response, err := get(t, c, base)
	if err != nil || response.Status != http.StatusTeapot || string(response.Body) != `{"a":1}` {
		t.Errorf("got %d %s, %v, want 418 and the body", response.Status, response.Body, err)
	}
}

func TestAnswerSize(t *testing.T) {
	base, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		size := maxAnswer
		if r.URL.Path == "/large" {
			size++
		}
		fmt.Fprint(w, strings.Repeat("s", size))
	})
	if response, err := get(t, c, base); err != nil || len(response.Body) != maxAnswer {
		t.Errorf("got %d bytes, %v, want %d", len(response.Body), err, maxAnswer)
	}
	if _, err := get(t, c, base+"/large"); err == nil || !strings.Contains(err.Error(), "more than 262144 bytes") {
		t.Errorf("got the error %v, want the limit", err)
	}
}

func TestRedirects(t *testing.T) {
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect reached another host") }))
	defer stranger.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect left https") }))
	defer plain.Close()
	base, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "secret"})
		if r.Header.Get("Cookie") != "" {
			t.Errorf("got the cookie %s, want none", r.Header.Get("Cookie"))
		}
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, "end")
	})
	host := strings.TrimPrefix(base, "https://")
	for _, test := range []struct{ name, to, want string }{
		{"same host", "/end", ""},
		{"same host in full", base + "/end", ""},
		{"another port", stranger.URL + "/secret", "another host"},
		{"no https", "http://" + host + "/secret", "another host"},
		{"plain", plain.URL + "/secret", "another host"},
		{"the tenant", domain + "/oauth2/token?secret", "another host"},
		{"user", "https://secret@" + host, "another host"},
		{"no URL", "https://%zz/secret", "no valid answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, err := get(t, c, base+"/?to="+strings.ReplaceAll(test.to, "%", "%25"))
			switch {
			case test.want == "" && (err != nil || string(response.Body) != "end"):
				t.Errorf("got %q, %v, want the redirect followed", response.Body, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret")):
				t.Errorf("got the error %v, want %q, without the address", err, test.want)
			}
		})
	}
}

func TestRedirectsEnd(t *testing.T) {
	asked := 0
	base, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	if _, err := get(t, c, base); err == nil || !strings.Contains(err.Error(), "more than 5 redirects") || asked != 1+maxRedirects {
		t.Errorf("got %d requests and the error %v, want 6 and the limit", asked, err)
	}
}

// TestErrorsShowNothing: neither what was sent nor what was answered.
func TestErrorsShowNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":         "secret\r\n\r\n",
		"status":          "HTTP/1.1 2secret OK\r\n\r\n",
		"header":          "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
		"encoding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n",
		"chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
		"cut":             "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret",
		"gzip":            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nsecret",
		"nothing":         "",
		"informational":   "HTTP/1.1 101 Switching Protocols\r\nsecret: secret\r\nsecret\r\n\r\n",
		"redirect":        "HTTP/1.1 302 Found\r\nLocation: https://a b/secret\r\nContent-Length: 0\r\n\r\n",
		"redirect scheme": "HTTP/1.1 302 Found\r\nLocation: javascript:secret\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			base, c := server(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = conn.Write([]byte(answer))
			})
			r := Request{"POST", base + "/secret?key=secret", map[string]string{"Authorization": "secret"}, "secret"}
			_, err := c.Do(t.Context(), r, clientID, known)
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got the error %v, want one without what was sent or answered", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	base, _ := server(t, func(http.ResponseWriter, *http.Request) {})
	unverified := New(domain, []string{strings.TrimPrefix(base, "https://")}, &http.Transport{})
	if _, err := get(t, unverified, base); err == nil || !strings.Contains(err.Error(), "certificate can't be verified") {
		t.Errorf("got the error %v, want that of the certificate", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	c := New(domain, []string{closed}, nil)
	defer c.Close()
	if _, err := get(t, c, "https://"+closed); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got the error %v, want connection refused", err)
	}
	lost := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "api.example.com"}}
	})
	if _, err := get(t, New(domain, allowHosts, lost), "https://api.example.com"); err == nil || !strings.Contains(err.Error(), "address can't be found: no such host") {
		t.Errorf("got the error %v, want that of the name", err)
	}
}

func TestAnswerInTime(t *testing.T) {
	for name, begun := range map[string]bool{"no answer": false, "no end of the body": true} {
		t.Run(name, func(t *testing.T) {
			base, c := server(t, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					fmt.Fprint(w, "begin")
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := c.Do(ctx, Request{URL: base}, clientID, known); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got the error %v, want the deadline", err)
			}
		})
	}
}
