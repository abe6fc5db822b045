package redistest

import (
	"slices"
	"strings"
	"time"
)

// switches say what a proxy does to connections.
type switches struct {
	mode    mode
	delay   time.Duration
	cut     bool // the next reply
	after   int  // so many bytes of it
	answers []string
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
// leaves it to the server. It is called by many goroutines.
type Handler func(command []string) (reply string, ok bool)

// setup are the commands with which a client prepares a connection. Redis
// answers them in troubles that concern the data, such as loading.
var setup = []string{"hello", "auth", "select", "client", "readonly"}

// Pass ends everything that the proxy does except to pass on what it gets.
// What it has held arrives now.
func (p *Proxy) Pass() {
	p.tb.Helper()
	p.change(func(s *switches) { *s = switches{} })
}

// Cut closes all connections, and each new one at once, until Pass.
func (p *Proxy) Cut() {
	p.change(func(s *switches) { s.mode = cutting })
	p.Drop()
}

// Refuse lets no new connection be made (ECONNREFUSED) until Pass; those that
// are open go on.
func (p *Proxy) Refuse() { p.change(func(s *switches) { s.mode = refusing }) }

// Hold takes what clients send, and connections too, but says nothing until
// Pass, as a network or a server does that has stopped.
func (p *Proxy) Hold() { p.change(func(s *switches) { s.mode = holding }) }

// Delay lets replies arrive later by d. Those that arrive together are delayed
// together.
func (p *Proxy) Delay(d time.Duration) { p.change(func(s *switches) { s.delay = d }) }

// CutReply closes the connection of the next reply after n bytes of it, or
// after the whole if it is shorter. The replies to a connection's setup (HELLO,
// AUTH, SELECT, CLIENT, READONLY) don't count.
func (p *Proxy) CutReply(n int) { p.change(func(s *switches) { s.cut, s.after = true, n }) }

// Answer answers the next commands with these texts in RESP, such as
// "-LOADING Redis is loading the dataset in memory\r\n", instead of asking the
// server. A connection's setup doesn't count.
func (p *Proxy) Answer(replies ...string) {
	p.change(func(s *switches) { s.answers = slices.Concat(s.answers, replies) })
}

// Handle lets h see every command, a connection's setup included, and answer it
// if it wants to. Nil ends that.
func (p *Proxy) Handle(h Handler) { p.change(func(s *switches) { s.handler = h }) }

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

// answer is the proxy's own reply to command, if it has one.
func (p *Proxy) answer(command []string) (reply string, ok bool) {
	p.mu.Lock()
	handler := p.switches.handler
	if answers := p.switches.answers; len(answers) > 0 && !isSetup(command) {
		p.switches.answers = answers[1:]
		p.mu.Unlock()
		return answers[0], true
	}
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

func isSetup(command []string) bool {
	return len(command) > 0 && slices.Contains(setup, strings.ToLower(command[0]))
}
