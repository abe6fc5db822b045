package kongtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// pluginConn is a connection to the plugin's socket.
type pluginConn struct {
	*net.UnixConn
	in      *bufio.Reader
	traffic *traffic
}

// frame reads a frame.
func (c *pluginConn) frame() ([]byte, error) {
	data, err := readFrame(c.in)
	if err == nil {
		c.traffic.count(func(t *Traffic) { t.FromPlugin.Frames++; t.FromPlugin.Bytes += frameHead + len(data) })
	}
	return data, err
}

// send writes m as a frame. A nil m is an empty one.
func (c *pluginConn) send(m proto.Message) error {
	data, err := marshal(m)
	if err != nil {
		return err
	}
	c.traffic.count(func(t *Traffic) { t.ToPlugin.Frames++; t.ToPlugin.Bytes += frameHead + len(data) })
	return writeFrame(c, data)
}

// call sends an RPC that involves no PDK calls and returns its reply.
func (c *pluginConn) call(m *kong_plugin_protocol.RpcCall) (*kong_plugin_protocol.RpcReturn, error) {
	if err := c.send(m); err != nil {
		return nil, err
	}
	return c.readReturn(m.Sequence)
}

func (c *pluginConn) readReturn(sequence int64) (*kong_plugin_protocol.RpcReturn, error) {
	data, err := c.frame()
	if err != nil {
		return nil, err
	}
	reply := &kong_plugin_protocol.RpcReturn{}
	if err := proto.Unmarshal(data, reply); err != nil {
		return nil, fmt.Errorf("decoding a reply: %w", err)
	}
	if reply.Sequence != sequence {
		return nil, fmt.Errorf("reply to call %d instead of %d", reply.Sequence, sequence)
	}
	return reply, nil
}

// usable reports whether an idle connection is still open and silent. nginx
// notices at once when the other side closes one; the stand-in checks before use.
func (c *pluginConn) usable() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN
		return true
	})
	return err == nil && silent
}

// pool keeps a worker's idle connections to the plugin.
type pool struct {
	socket  string
	timeout time.Duration // of everything on a connection between get and put
	traffic *traffic

	mu     sync.Mutex
	idle   []*pluginConn
	closed bool
}

// maxIdle is the size of the pool that each of Kong's workers keeps by default.
const maxIdle = 256

// get returns an idle connection or a new one.
func (p *pool) get(ctx context.Context) (*pluginConn, error) {
	deadline := time.Now().Add(p.timeout)
	for c := p.pop(); c != nil; c = p.pop() {
		if c.usable() {
			return c, c.SetDeadline(deadline)
		}
		c.Close()
	}
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialContext(ctx, "unix", p.socket)
	if err != nil {
		return nil, fmt.Errorf("connecting to the plugin: %w", err)
	}
	p.traffic.count(func(t *Traffic) { t.Connections++ })
	c := &pluginConn{UnixConn: conn.(*net.UnixConn), in: bufio.NewReader(conn), traffic: p.traffic}
	return c, c.SetDeadline(deadline)
}

func (p *pool) pop() *pluginConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

func (p *pool) put(c *pluginConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle || c.SetDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}
