package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// internet is where the plugin finds the providers' hosts: a proxy for TLS
// connections that answers for each of them. It also is every provider's token
// endpoint. Safe for concurrent use.
type internet struct {
	env      []string // of the plugin's process, which leads it here
	endpoint *httptest.Server

	mu        sync.Mutex
	documents map[string]any // JSON by URL
	answer    []byte         // of the token endpoint
	asked     received
}

// received is the last request at the token endpoint.
type received struct {
	path, contentType, authorization, body string
}

// newInternet starts an internet that has hosts.
func newInternet(t *testing.T, hosts ...string) *internet {
	t.Helper()
	n := &internet{documents: map[string]any{}}
	n.endpoint = httptest.NewServer(http.HandlerFunc(n.token))
	t.Cleanup(n.endpoint.Close)

	ca := redistest.NewCA(t)
	certificate, err := tls.LoadX509KeyPair(ca.Issue(t, hosts...))
	if err != nil {
		t.Fatal(err)
	}
	sites := httptest.NewUnstartedServer(http.HandlerFunc(n.document))
	sites.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	sites.StartTLS()
	t.Cleanup(sites.Close)
	proxy := httptest.NewServer(tunnels(sites.Listener.Addr().String()))
	t.Cleanup(proxy.Close)

	text, err := os.ReadFile(ca.File())
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(openDir(t), "ca.pem")
	if err := os.WriteFile(bundle, text, 0o644); err != nil {
		t.Fatal(err)
	}
	n.env = []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + bundle}
	return n
}

// tunnels leads each CONNECT request (RFC 9110, section 9.3.6) to address.
func tunnels(address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site, err := net.Dial("tcp", address)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer site.Close()
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		// Not by w: what the client then sends could be read before Hijack.
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		go func() {
			defer site.Close()
			_, _ = io.Copy(site, client) // it ends with either connection
		}()
		_, _ = io.Copy(client, site)
	})
}

// publish puts JSON at a URL.
func (n *internet) publish(url string, document any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.documents[url] = document
}

// respond sets the answer of the token endpoint.
func (n *internet) respond(answer []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = answer
}

// request returns the last request at the token endpoint.
func (n *internet) request() received {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *internet) document(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	document := n.documents["https://"+r.Host+r.URL.Path]
	n.mu.Unlock()
	if document == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // it fails if the client has left
}

func (n *internet) token(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "no body", http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	n.asked = received{r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
	answer := n.answer
	n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) // it fails if the client has left
}

// host returns that of a URL, "" if it has none.
func host(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname()
}

// basic returns the Authorization header of credentials, NAME:PASSWORD.
func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// pathOnly makes a path one that only it matches, as kong.yml writes paths.
func pathOnly(path string) string {
	return "~" + strings.ReplaceAll(path, ".", "[.]") + "$"
}
