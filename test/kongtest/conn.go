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
	in *bufio.Reader
}

// call sends an RPC that involves no PDK calls and returns its reply.
func (c *pluginConn) call(m *kong_plugin_protocol.RpcCall) (*kong_plugin_protocol.RpcReturn, error) {
	if err := writeMessage(c, m); err != nil {
		return nil, err
	}
	return c.readReturn(m.Sequence)
}

func (c *pluginConn) readReturn(sequence int64) (*kong_plugin_protocol.RpcReturn, error) {
	data, err := readFrame(c.in)
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
	c := &pluginConn{UnixConn: conn.(*net.UnixConn), in: bufio.NewReader(conn)}
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
