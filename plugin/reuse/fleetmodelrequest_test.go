package reuse_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/plugin/reuse"
)

// client is an application with its secrets. The provider accepts those that are valid.
type client struct {
	name   string
	secret int // the newest version
	kind   kind
}

// kind is what the provider's answers to a client are like.
type kind string

const (
	usual      kind = "usual"
	brief      kind = "a token that lives shortly"
	bound      kind = "a token that is bound to its sender"
	withCookie kind = "a cookie beside the token"
	management kind = "a management token"
)

// request is one token request of a client.
type request struct {
	reuse.Request
	client *client
	secret int // its version

	changed bool // another plugin puts the right secret in after access
	lost    bool // the client leaves before the provider's answer
	basic   bool // the credentials are in Authorization
	inQuery bool // something behind the gateway has the credentials
}

// complete writes the request as the client sends it.
func (q request) complete() request {
	q.Route, q.Line, q.ContentType = "route-1", "POST /oauth2/token HTTP/1.1", enrich.FormMediaType
	if q.Host == "" {
		q.Host = "auth.example.com"
	}
	body := "grant_type=client_credentials&audience=api"
	switch {
	case q.basic:
		q.Authorization = "Basic " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%s", q.client.name, secretOf(q.secret)))
	case q.inQuery:
		body += "&client_id=" + q.client.name
	default:
		body += "&client_id=" + q.client.name + "&client_secret=" + secretOf(q.secret)
	}
	q.Body = []byte(body)
	return q
}

func secretOf(version int) string { return fmt.Sprintf("secret-%d", version) }

// sent is the request as the provider gets it.
func (q request) sent() request {
	if q.changed {
		q.Body = append(q.Body[:len(q.Body):len(q.Body)], "&added=1"...)
	}
	return q
}

// text is all that the provider and the gateway know a request by.
func (q request) text(identity byte) string {
	return fmt.Sprintf("%d %q", identity, []string{q.Route, q.Line, q.Host, q.ContentType, q.Authorization, string(q.Body)})
}

// exchange is the whole exchange for the decision.
func (q request) exchange(status int, body []byte) enrich.Exchange {
	return enrich.Exchange{
		Request:  enrich.Request{Method: "POST", ContentType: q.ContentType, Authorization: q.Authorization, Body: q.Body},
		Response: enrich.Response{Status: status, Body: body},
	}
}

// rotate gives the client another secret. The provider may accept the old one too.
func (c *client) rotate(w *world) {
	w.mu.Lock()
	c.secret++
	version := c.secret
	w.mu.Unlock()
	w.provider.accept(c.name, version, w.upTo(2) == 0)
}

// revoke lets the provider refuse a request that it accepted, and then fail.
func (w *world) revoke() {
	n, c := w.node(), w.anyClient()
	w.mu.Lock()
	q := request{client: c, secret: c.secret}.complete()
	w.mu.Unlock()
	w.requests.Go(func() {
		n.serve(q)
		c.rotate(w)
		time.Sleep(w.maxAge)
		n.serve(q)
		w.provider.become("failing", true, "")
		n.serve(q)
	})
}

// request returns a request of c, which may have a wrong secret or nothing that lets
// its answer be given again.
func (w *world) request(c *client) request {
	w.mu.Lock()
	version := c.secret
	w.mu.Unlock()
	q := request{client: c, secret: version}
	n := w.upTo(30)
	if w.calm && n < 7 {
		n += 7
	}
	switch n {
	case 0, 1:
		q.secret = max(0, version-1)
	case 2:
		q.secret = 1_000_000 // never valid
	case 3:
		q.Host = "other.example.com"
	case 4:
		q.Bypass = true
	case 5:
		q.changed = true
	case 6:
		q.lost = true
	case 7:
		q.basic = true
	case 8:
		q.inQuery = true
	}
	return q.complete()
}

// newID returns Kong's id of a request.
func (w *world) newID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id++
	return fmt.Sprintf("request-%d", w.id)
}

var errUnfit = errors.New("the answer has Set-Cookie")

// serve is the way of one request through a gateway, as the adapter for Kong goes it.
// It reports whether the client got a token of the gateway's.
func (n *node) serve(q request) bool {
	w, p := n.w, n.process.Load()
	q.ID = w.newID()
	g := w.begin(p, q)
	ctx, cancel := context.WithTimeout(context.Background(), modelTimeout)
	r, ok := p.answers.Find(ctx, q.Request, "192.0.2.1")
	cancel()
	w.found(g, r, ok)
	if ok {
		return true
	}
	w.left(g)
	sent := q.sent()
	status, body := w.provider.answer(g, sent)
	if status == 0 || q.lost { // Kong runs no response phase
		w.returned(g, nil, status, enrich.Result{})
		return false
	}
	return n.process.Load().respond(g, sent, status, body) // another one, if the first was replaced
}

// respond is the response phase.
func (p *process) respond(g *given, sent request, status int, body []byte) (ok bool) {
	w := p.node.w
	ctx, cancel := context.WithTimeout(context.Background(), modelTimeout)
	defer cancel()
	var r enrich.Result
	if status >= 500 || status == 429 {
		g.begin, g.purged = time.Now(), w.knownPurge(p, sent.client.name)
		if r, ok = p.answers.Instead(ctx, sent.ID, status, w.provider.retryAfter(), "192.0.2.1"); ok {
			w.found(g, r, true)
		}
	}
	r = p.enricher.Enrich(ctx, sent.exchange(status, body))
	var unfit error
	if sent.client.kind == withCookie {
		unfit = errUnfit
	}
	w.returned(g, p, status, r)
	p.answers.Answered(sent.ID, sent.Authorization, sent.Body, r, unfit)
	return ok || r.Outcome == enrich.Enriched
}
