package redistest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// held is how many commands a link takes while nothing goes on; the kernel
// takes those after them.
const held = 1024

var errCut = errors.New("the reply is cut")

// link is a client's connection to a proxy and the one to the server for it.
type link struct {
	proxy  *Proxy
	client net.Conn
	ctx    context.Context // ends with the client's connection
	cancel context.CancelFunc
	opaque atomic.Bool // it isn't RESP

	mu      sync.Mutex // the order of replies
	awaited []awaited
}

// awaited is a reply that the client waits for.
type awaited struct {
	own   bool // it is the proxy's
	text  string
	setup bool
}

func newLink(p *Proxy, client net.Conn) *link {
	ctx, cancel := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, cancel: cancel}
}

func (l *link) close() {
	l.cancel()
	_ = l.client.Close()
}

// serve passes on what both sides send, until one of them closes its
// connection.
func (l *link) serve() {
	defer l.close()
	dialer := &net.Dialer{Timeout: startTimeout}
	server, err := dialer.DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		return
	}
	var work sync.WaitGroup
	commands := make(chan frame, held)
	work.Go(func() { defer l.close(); l.read(commands) })
	work.Go(func() { defer l.close(); l.forward(commands, server) })
	work.Go(func() { defer l.close(); l.replies(server) })
	<-l.ctx.Done()
	_ = server.Close()
	work.Wait()
}

// read takes commands even while they can't go on, so that it notices when the
// client goes.
func (l *link) read(commands chan<- frame) {
	r := bufio.NewReader(l.client)
	for {
		if first, err := r.Peek(1); err != nil {
			return
		} else if first[0] == tlsHandshake {
			l.opaque.Store(true)
		}
		command, err := l.next(r)
		if err != nil {
			return
		}
		select {
		case commands <- command:
		case <-l.ctx.Done():
			return
		}
	}
}

// next reads one frame. It is known whether it is RESP: it is the client who
// speaks first.
func (l *link) next(r *bufio.Reader) (f frame, err error) {
	first := r.Buffered() == 0
	if _, err := r.Peek(1); err != nil {
		return f, err
	}
	if l.opaque.Load() {
		f, err = readChunk(r)
	} else {
		f, err = readFrame(r)
	}
	f.first = first
	return f, err
}

func (l *link) forward(commands <-chan frame, server net.Conn) {
	for {
		select {
		case command := <-commands:
			if l.ask(command, server) != nil {
				return
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// ask sends one command to the server or answers it.
func (l *link) ask(command frame, server net.Conn) error {
	if err := l.proxy.hinder(l.ctx, false); err != nil {
		return err
	}
	if l.opaque.Load() {
		_, err := server.Write(command.raw)
		return err
	}
	a := awaited{setup: isSetup(command.words)}
	if a.text, a.own = l.proxy.answer(command.words); a.own {
		if err := l.proxy.hinder(l.ctx, command.first); err != nil {
			return err
		}
		return l.expect(a)
	}
	if err := l.expect(a); err != nil {
		return err
	}
	_, err := server.Write(command.raw)
	return err
}

// expect queues a reply; the proxy's own goes out as soon as it is its turn.
func (l *link) expect(a awaited) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited = append(l.awaited, a)
	return l.sendOwn()
}

// sendOwn sends the proxy's own replies whose turn it is. The caller holds mu.
func (l *link) sendOwn() error {
	for len(l.awaited) > 0 && l.awaited[0].own {
		a := l.awaited[0]
		l.awaited = l.awaited[1:]
		if err := l.send([]byte(a.text), a.setup); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) replies(server net.Conn) {
	r := bufio.NewReader(server)
	for {
		reply, err := l.next(r)
		if err != nil || l.proxy.hinder(l.ctx, reply.first) != nil || l.reply(reply.raw) != nil {
			return
		}
	}
}

// reply passes on what the server says: the reply to the first command, or what
// nobody asked for, such as a message of a channel.
func (l *link) reply(raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var a awaited
	if raw[0] != '>' && len(l.awaited) > 0 {
		a, l.awaited = l.awaited[0], l.awaited[1:]
	}
	if err := l.send(raw, a.setup); err != nil {
		return err
	}
	return l.sendOwn()
}

// send gives the client a reply, or the part of it that it shall have.
func (l *link) send(raw []byte, setup bool) error {
	n, cut := len(raw), false
	if !setup {
		n, cut = l.proxy.share(len(raw))
	}
	if _, err := l.client.Write(raw[:n]); err != nil {
		return err
	}
	if cut {
		return errCut
	}
	return nil
}
