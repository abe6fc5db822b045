// Package otlptest is a collector of traces that tests send to, by
// OpenTelemetry's protocol (OTLP) over HTTP or gRPC.
package otlptest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Collector keeps the traces that it gets. Safe for concurrent use.
type Collector struct {
	collector.UnimplementedTraceServiceServer

	// URL is its address, http://127.0.0.1:port.
	URL string

	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	headers  http.Header
	refuses  bool
}

// Start runs a collector over HTTP until the test ends.
func Start(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// StartGRPC runs a collector over gRPC until the test ends.
func StartGRPC(t *testing.T) *Collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{URL: "http://" + listener.Addr().String()}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Refuse makes it refuse traces from now on.
func (c *Collector) Refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = true
}

// Forget drops the traces so far.
func (c *Collector) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = nil
}

// ServeHTTP implements [http.Handler].
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	var request collector.ExportTraceServiceRequest
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || r.URL.Path != "/v1/traces" || c.refuses || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.requests, c.headers = append(c.requests, &request), r.Header
}

// Export implements the protocol's service over gRPC.
func (c *Collector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses {
		return nil, status.Error(codes.InvalidArgument, "refused")
	}
	c.requests = append(c.requests, r)
	return &collector.ExportTraceServiceResponse{}, nil
}

// Headers returns those of the last request over HTTP.
func (c *Collector) Headers() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Span returns the first span called name, nil if there is none.
func (c *Collector) Span(name string) *otlp.Span {
	for _, span := range c.Spans() {
		if span.Name == name {
			return span
		}
	}
	return nil
}

// Spans returns all spans, in the order in which they came.
func (c *Collector) Spans() (all []*otlp.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		for _, of := range r.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				all = append(all, scope.Spans...)
			}
		}
	}
	return all
}

// Resource returns the texts that describe the sender.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) == 0 {
		return nil
	}
	return Texts(c.requests[0].ResourceSpans[0].Resource.Attributes)
}

// Texts returns the attributes that are texts.
func Texts(attributes []*common.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, a := range attributes {
		texts[a.Key] = a.Value.GetStringValue()
	}
	return texts
}
