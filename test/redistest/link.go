package redistest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
)

// backlog is how many commands a link takes while nothing passes; the kernel
// takes those after them.
const backlog = 1024

// tlsHandshake is the first byte of a TLS connection (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// setup are the commands with which a client prepares a connection. Redis
// answers them in troubles that concern the data, such as loading.
var setup = []string{"hello", "auth", "select", "client", "readonly"}

// link is a client's connection to a proxy.
type link struct {
	proxy  *Proxy
	client net.Conn
	ctx    context.Context // ends with the client's connection
	cancel context.CancelFunc
	opaque bool   // it isn't RESP
	waits  bool   // for the server's reply to command
	last   string // command, in lower case
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
// connection. It takes commands even while nothing passes, to notice
// when the client leaves.
func (l *link) serve() {
	defer l.close()
	server, err := (&net.Dialer{Timeout: startTimeout}).DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		return
	}
	r := bufio.NewReader(l.client)
	first, err := r.Peek(1) // the client speaks first
	if err != nil {
		_ = server.Close()
		return
	}
	l.opaque = first[0] == tlsHandshake
	var readers sync.WaitGroup
	defer readers.Wait()
	defer server.Close()
	defer l.close()
	commands, replies := make(chan frame, backlog), make(chan frame)
	readers.Go(func() { defer l.close(); l.read(r, commands) })
	readers.Go(func() { defer close(replies); l.read(bufio.NewReader(server), replies) })
	for err == nil {
		err = l.relay(server, commands, replies)
	}
}

func (l *link) read(r *bufio.Reader, frames chan<- frame) {
	next := readFrame
	if l.opaque {
		next = readChunk
	}
	for {
		f, err := next(r)
		if err != nil {
			return
		}
		select {
		case frames <- f:
		case <-l.ctx.Done():
			return
		}
	}
}

var errEnded = errors.New("a connection has ended")

// relay passes on one command or one reply.
func (l *link) relay(server net.Conn, commands, replies <-chan frame) error {
	if l.waits {
		commands = nil
	}
	select {
	case command := <-commands:
		return l.ask(command, server)
	case reply, ok := <-replies:
		if !ok {
			return errEnded
		}
		return l.reply(reply)
	case <-l.ctx.Done():
		return errEnded
	}
}

// ask sends a command to the server or answers it.
func (l *link) ask(command frame, server net.Conn) error {
	if err := l.proxy.hinder(l.ctx, false); err != nil {
		return err
	}
	if !l.opaque {
		l.last = strings.ToLower(command.words[0])
		switch text, ok := l.proxy.answer(command.words); {
		case ok && text == "":
			return errEnded
		case ok:
			return l.reply(frame{raw: []byte(text)})
		}
		l.waits = true
	}
	_, err := server.Write(command.raw)
	return err
}

// reply gives the client a reply, or a part of it if a cut is due.
func (l *link) reply(f frame) error {
	if err := l.proxy.hinder(l.ctx, true); err != nil {
		return err
	}
	n, cut := len(f.raw), false
	if l.opaque || f.raw[0] == '>' || !slices.Contains(setup, l.last) {
		n, cut = l.proxy.share(n)
	}
	if f.raw[0] != '>' { // nobody asked for a push message
		l.waits = false
	}
	if _, err := l.client.Write(f.raw[:n]); err != nil {
		return err
	}
	if cut {
		return errEnded
	}
	return nil
}
