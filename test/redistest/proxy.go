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
// It reads commands and replies one by one, so that an answer of its own keeps
// its place among those of the server. Where a client speaks TLS it reads
// nothing, so that Answer and Handle do nothing.
type Proxy struct {
	tb     testing.TB
	target string
	port   int
	work   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while the proxy refuses
	links    map[*link]struct{}
	opened   int
	switches switches
	changed  chan struct{} // closed as soon as switches are others
}

// StartProxy starts a proxy on loopback for target, a host:port. It passes
// everything until it is told otherwise, and ends with the test.
func StartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{
		tb: tb, target: target, port: FreePort(tb),
		links: make(map[*link]struct{}), changed: make(chan struct{}),
	}
	tb.Cleanup(p.end)
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

// Opened is how many connections clients ever opened, those that Cut closed at
// once included.
func (p *Proxy) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
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

// listen makes the proxy accept connections, or the kernel refuse them. The
// caller holds mu.
func (p *Proxy) listen(wanted bool) error {
	if wanted == (p.listener != nil) {
		return nil
	}
	if !wanted {
		err := p.listener.Close()
		p.listener = nil
		return err
	}
	listener, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return err
	}
	p.listener = listener
	p.work.Go(func() { p.accept(listener) })
	return nil
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
	p.opened++
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

// hinder waits as long as the switches, which may change meanwhile, hold what
// passes or delay it; what came together with something else was delayed with
// it. The error is that ctx has ended.
func (p *Proxy) hinder(ctx context.Context, delayed bool) error {
	start := time.Now()
	for ctx.Err() == nil {
		p.mu.Lock()
		now, changed := p.switches, p.changed
		p.mu.Unlock()
		var due <-chan time.Time // never, if it is held
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

func (p *Proxy) end() {
	p.change(func(s *switches) { s.mode = ended })
	p.Drop()
	p.work.Wait()
}
