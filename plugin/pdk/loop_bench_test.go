package pdk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	pdkserver "github.com/Kong/go-pdk/server"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"m2m-token-enricher/test/pdktest"
)

// The benchmark of the loop runs each server in a process of its own, which is
// this test binary with the server's name in the environment.
const loopVariable = "M2M_BENCH_LOOP"

func TestMain(m *testing.M) {
	switch dir := os.Getenv("M2M_BENCH_DIR"); os.Getenv(loopVariable) {
	case "ours":
		prepared, questions := PrepareHeaders(answerHeaders), PrepareExchange()
		s := NewServer("ours", &fake{handle: func(e *Event) {
			x, err := e.Exchange(questions, forCaches)
			if err == nil {
				e.Exit(200, x.Body, prepared)
			}
		}})
		listener, err := net.Listen("unix", filepath.Join(dir, "ours"))
		if err == nil {
			err = s.Serve(context.Background(), listener)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "go-pdk":
		os.Args = []string{os.Args[0], "-kong-prefix", dir}
		if err := pdkserver.StartServer(func() any { return &plainly{} }, "1", 1); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// answerHeaders are as many as the plugin's own.
var answerHeaders = map[string][]string{
	"Cache-Control": {"no-store"}, "Pragma": {"no-cache"},
	"ETag": {}, "Last-Modified": {}, "Digest": {}, "Content-Digest": {}, "Repr-Digest": {}, "Content-MD5": {}, "Signature": {}, "Signature-Input": {},
	"Age": {}, "Expires": {}, "Content-Encoding": {},
}

// forCaches chooses headers at the cost of the plugin's own rule, and none here.
func forCaches(name []byte) bool {
	return bytes.Contains(name, []byte("control")) && !bytes.Equal(name, []byte("cache-control")) || bytes.HasSuffix(name, []byte("expires")) || bytes.HasSuffix(name, []byte("ttl"))
}

// plainly is the same handler for go-pdk's server.
type plainly struct{}

func (plainly) Response(p *pdk.PDK) {
	_, err := p.ServiceResponse.GetStatus()
	if err != nil {
		return
	}
	body, err := p.ServiceResponse.GetRawBody()
	if err != nil {
		return
	}
	if _, err := p.Request.GetRawBody(); err != nil {
		return
	}
	if _, err := p.Response.GetHeaders(MaxHeaders); err != nil {
		return
	}
	p.Response.Exit(200, body, answerHeaders)
}

// loop is a server that runs in its own process.
type loop struct {
	name, socket string
	process      *exec.Cmd
	instance     int32
}

func startLoop(b *testing.B, name, socket string) *loop {
	b.Helper()
	dir := b.TempDir()
	l := &loop{name: name, socket: filepath.Join(dir, socket)}
	l.process = exec.Command(os.Args[0])
	l.process.Env = append(os.Environ(), loopVariable+"="+name, "M2M_BENCH_DIR="+dir, "GOMAXPROCS=2")
	if err := l.process.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = l.process.Process.Kill()
		_ = l.process.Wait()
	})
	var conn net.Conn
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		var err error
		if conn, err = net.Dial("unix", l.socket); err == nil {
			break
		}
	}
	if conn == nil {
		b.Fatalf("%s doesn't listen", name)
	}
	defer conn.Close()
	if _, err := conn.Write(pdktest.Frame(pdktest.Start(1, name, "{}"))); err != nil {
		b.Fatal(err)
	}
	frame, err := pdktest.ReadFrame(conn)
	var r kong_plugin_protocol.RpcReturn
	if err != nil || proto.Unmarshal(frame, &r) != nil {
		b.Fatalf("start an instance: %v", err)
	}
	l.instance = r.GetInstanceStatus().InstanceId
	return l
}

// cpu is the time that the process has used, in µs.
func (l *loop) cpu(b *testing.B) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", l.process.Process.Pid))
	var ns float64
	if err == nil {
		var threads []os.DirEntry
		threads, err = os.ReadDir(fmt.Sprintf("/proc/%d/task", l.process.Process.Pid))
		for _, t := range threads {
			one, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", l.process.Process.Pid, t.Name()))
			var ran float64
			_, _ = fmt.Sscan(string(one), &ran)
			ns += ran
		}
	}
	if err != nil || len(stat) == 0 {
		b.Skip("no /proc here: ", err)
	}
	return ns / 1000
}

// kongReplies are what Kong answers to each method, framed.
type kongReplies map[string][]byte

// events runs events over connections for span, as Kong does: an exit ends the
// connection. It returns how many there were and the median of their times.
func (l *loop) events(b *testing.B, replies kongReplies, connections int, span time.Duration) (n int64, p50 float64) {
	call := pdktest.Frame(pdktest.Event(2, l.instance, "response"))
	var count atomic.Int64
	var mu sync.Mutex
	var times []float64
	var workers sync.WaitGroup
	end := time.Now().Add(span)
	for range connections {
		workers.Go(func() {
			var own []float64
			for time.Now().Before(end) {
				begin := time.Now()
				if err := l.event(call, replies); err != nil {
					b.Error(err)
					return
				}
				own = append(own, float64(time.Since(begin).Nanoseconds())/1000)
				count.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, own...)
		})
	}
	workers.Wait()
	slices.Sort(times)
	if len(times) == 0 {
		b.Fatal("no event ended")
	}
	return count.Load(), times[len(times)/2]
}

func (l *loop) event(call []byte, replies kongReplies) error {
	conn, err := net.Dial("unix", l.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(call); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	for {
		method, err := pdktest.ReadFrame(in)
		if err != nil {
			return err
		}
		if _, err := pdktest.ReadFrame(in); err != nil {
			return err
		}
		if string(method) == "kong.response.exit" {
			return nil
		}
		if _, err := conn.Write(replies[string(method)]); err != nil {
			return err
		}
	}
}

// BenchmarkLoop compares the server with go-pdk's, the same handler in both:
// four getters and an exit with a token response. In turns; medians.
func BenchmarkLoop(b *testing.B) {
	const rounds, span = 5, time.Second
	body := fmt.Appendf(nil, `{"access_token":%q,"expires_in":86399}`, make([]byte, 900))
	replies := kongReplies{
		"kong.service.response.get_status":   pdktest.Frame(pdktest.Number(200)),
		"kong.service.response.get_raw_body": pdktest.Frame(pdktest.Text(string(body))),
		"kong.request.get_raw_body":          pdktest.Frame(pdktest.Body("grant_type=client_credentials&client_id=a&client_secret=b")),
		"kong.response.get_headers":          pdktest.Frame(providerHeaders()),
	}
	loops := []*loop{startLoop(b, "ours", "ours"), startLoop(b, "go-pdk", filepath.Base(os.Args[0])+".socket")}
	for _, connections := range []int{1, 8} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			for b.Loop() {
				var rates, cpus, p50s [2][]float64
				for range rounds {
					for i, l := range loops {
						before := l.cpu(b)
						n, p50 := l.events(b, replies, connections, span)
						rates[i] = append(rates[i], float64(n)/span.Seconds())
						cpus[i] = append(cpus[i], (l.cpu(b)-before)/float64(n))
						p50s[i] = append(p50s[i], p50)
					}
				}
				for i, l := range loops {
					b.ReportMetric(middle(rates[i]), l.name+"-events/s")
					b.ReportMetric(middle(cpus[i]), l.name+"-µs-cpu/event")
					b.ReportMetric(middle(p50s[i]), l.name+"-µs-p50")
				}
				b.ReportMetric(middle(rates[0])/middle(rates[1]), "rate-ratio")
				b.ReportMetric(middle(cpus[0])/middle(cpus[1]), "cpu-ratio")
				b.ReportMetric(middle(p50s[0])/middle(p50s[1]), "p50-ratio")
			}
		})
	}
}

// providerHeaders are those of a provider behind a CDN.
func providerHeaders() *structpb.Struct {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, name := range []string{"content-type", "content-length", "date", "cache-control", "pragma", "connection", "vary", "etag", "cf-ray", "server",
		"strict-transport-security", "x-content-type-options", "x-frame-options", "x-request-id", "referrer-policy"} {
		s.Fields[name] = structpb.NewStringValue("application/json; charset=utf-8")
	}
	return s
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
