package redistest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and one server and does to their connections
// what networks and servers in trouble do. Its switches may be changed at any
// time and by any goroutine; Pass ends all of them.
//
// It reads commands and replies one by one, and passes a command on when the one
// before is answered. So it can't proxy SUBSCRIBE in RESP3, which has no reply. It can't read TLS; Handle does nothing then.
type Proxy struct {
	tb     testing.TB
	target string
	port   int
	work   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while the proxy refuses
	links    map[*link]struct{}
	switches switches
	changed  chan struct{} // closed when switches change
}

// switches say what a proxy does to connections.
type switches struct {
	mode    mode
	delay   time.Duration
	cut     bool // the next reply
	after   int  // so many bytes of it
	handler Handler
}

type mode int

const (
	passing mode = iota
	cutting
	refusing
	holding
	ended // with the test
)

// Handler answers a command instead of the server with a text in RESP, or
// leaves it to the server. An empty text closes the connection. It is called by
// many goroutines.
type Handler func(command []string) (reply string, ok bool)

// StartProxy starts a proxy on loopback for target, a host:port. It passes
// everything until it is told otherwise, and ends with the test.
func StartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{
		tb: tb, target: target, port: FreePort(tb),
		links: make(map[*link]struct{}), changed: make(chan struct{}),
	}
	tb.Cleanup(func() { p.drop(ended); p.work.Wait() })
	p.Pass()
	return p
}

// Addr is the proxy's host:port. It stays the same.
func (p *Proxy) Addr() string { return loopback(p.port) }

// Port is the proxy's port on 127.0.0.1.
func (p *Proxy) Port() int { return p.port }

// Open is how many clients are connected now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Drop closes the connections that are open now. New ones are welcome.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
		delete(p.links, l)
	}
}

// Pass ends everything that the proxy does except passing on what it gets. What
// Hold kept back arrives now.
func (p *Proxy) Pass() { p.change(func(s *switches) { *s = switches{} }) }

// Cut closes all connections, and each new one at once, until Pass.
func (p *Proxy) Cut() { p.drop(cutting) }

// Refuse lets no new connection be made (ECONNREFUSED) until Pass; open ones
// continue.
func (p *Proxy) Refuse() { p.change(func(s *switches) { s.mode = refusing }) }

// Hold accepts what clients send, and connections too, but passes nothing until
// Pass, as a network or a server does that has stopped.
func (p *Proxy) Hold() { p.change(func(s *switches) { s.mode = holding }) }

// Delay lets each reply arrive later by d.
func (p *Proxy) Delay(d time.Duration) { p.change(func(s *switches) { s.delay = d }) }

// CutReply closes the connection of the next reply after n bytes of it, or
// after the whole if it is shorter. The replies to a connection's setup (HELLO,
// AUTH, SELECT, CLIENT, READONLY) don't count.
func (p *Proxy) CutReply(n int) { p.change(func(s *switches) { s.cut, s.after = true, n }) }

// Handle lets h see every command, a connection's setup included, and answer it
// if it wants to. Nil ends that.
func (p *Proxy) Handle(h Handler) { p.change(func(s *switches) { s.handler = h }) }

func (p *Proxy) drop(m mode) {
	p.change(func(s *switches) { s.mode = m })
	p.Drop()
}

func (p *Proxy) change(change func(*switches)) {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.switches)
	close(p.changed)
	p.changed = make(chan struct{})
	if err := p.listen(p.switches.mode != refusing && p.switches.mode != ended); err != nil {
		p.tb.Errorf("the proxy at %s: %v", p.Addr(), err)
	}
}

// listen makes the proxy accept connections, or the kernel refuse them. The
// caller holds mu.
func (p *Proxy) listen(wanted bool) (err error) {
	switch {
	case wanted == (p.listener != nil):
	case wanted:
		if p.listener, err = net.Listen("tcp", p.Addr()); err == nil {
			listener := p.listener
			p.work.Go(func() { p.accept(listener) })
		}
	default:
		err = p.listener.Close()
		p.listener = nil
	}
	return err
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // closed
		}
		p.admit(client)
	}
}

func (p *Proxy) admit(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.switches.mode == cutting || p.switches.mode == ended {
		_ = client.Close()
		return
	}
	l := newLink(p, client)
	p.links[l] = struct{}{}
	p.work.Go(func() {
		l.serve()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// hinder waits as long as the switches hold or delay what passes; they may
// change meanwhile. The error is that ctx has ended.
func (p *Proxy) hinder(ctx context.Context, delayed bool) error {
	start := time.Now()
	for ctx.Err() == nil {
		p.mu.Lock()
		now, changed := p.switches, p.changed
		p.mu.Unlock()
		var due <-chan time.Time // never while it holds
		if now.mode != holding {
			left := now.delay - time.Since(start)
			if !delayed || left <= 0 {
				return nil
			}
			due = time.After(left)
		}
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// answer is the proxy's own reply to command, if it has one.
func (p *Proxy) answer(command []string) (reply string, ok bool) {
	p.mu.Lock()
	handler := p.switches.handler
	p.mu.Unlock()
	if handler == nil {
		return "", false
	}
	return handler(command)
}

// share is how much of a reply of n bytes the client gets before its connection
// is closed, if that is due.
func (p *Proxy) share(n int) (bytes int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.switches.cut {
		return n, false
	}
	p.switches.cut = false
	return min(n, p.switches.after), true
}
