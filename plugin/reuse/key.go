package reuse

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strings"
	"sync"
)

// Request is a token request as the access phase sees it. Several lines of a header
// are joined by commas.
type Request struct {
	ID              string // Kong's, the same in both phases
	Route           string // names the route or the service whose request it is
	Line            string // the whole request line
	Host            string
	ContentType     string
	ContentEncoding string
	Authorization   string
	Cookie          string
	Vary            []string // the values of reuse.vary_headers, in their order
	Body            []byte   // nil if Kong has it in a file
	Bypass          bool     // it has one of reuse.bypass_headers
}

// maxBody is how many bytes the body of a request has at most whose answer may be
// given again.
const maxBody = 8192

// eligible reports whether an answer to q may be given again at all.
func (q *Request) eligible() bool {
	return q.ID != "" && q.Route != "" && !q.Bypass && strings.HasPrefix(q.Line, "POST ") && len(q.Body) > 0 && len(q.Body) <= maxBody
}

// What is authenticated begins with one of these bytes, so that one kind of text is
// never another. A change of the form takes new bytes.
const (
	wholeRequest = 1
	credentials  = 2
)

// appendRequest appends everything of q that could change the provider's answer. Each
// part has its length before it, so no two requests give the same bytes.
func appendRequest(to []byte, identity *[sha256.Size]byte, q *Request) []byte {
	to = append(to, wholeRequest)
	to = append(to, identity[:]...)
	for _, text := range [...]string{q.Route, q.Line, q.Host, q.ContentType, q.ContentEncoding, q.Authorization, q.Cookie} {
		to = appendPart(to, text)
	}
	to = binary.BigEndian.AppendUint64(to, uint64(len(q.Vary)))
	for _, value := range q.Vary {
		to = appendPart(to, value)
	}
	return appendPart(to, q.Body)
}

// appendCredentials appends what the response phase asks Kong for once more.
func appendCredentials(to []byte, authorization string, body []byte) []byte {
	return appendPart(appendPart(append(to, credentials), authorization), body)
}

func appendPart[T string | []byte](to []byte, part T) []byte {
	return append(binary.BigEndian.AppendUint64(to, uint64(len(part))), part...)
}

// key stands for a request, or for a part of it. It says nothing about it to anybody
// who lacks the key of its authenticator.
type key [sha256.Size]byte

// authenticator computes keys under a secret. Safe for concurrent use.
type authenticator struct{ pool sync.Pool }

// scratch is what one computation needs.
type scratch struct {
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

func newAuthenticator(secret []byte) *authenticator {
	return &authenticator{sync.Pool{New: func() any {
		return &scratch{mac: hmac.New(sha256.New, secret)}
	}}}
}

// randomSecret returns the secret of an authenticator whose keys mean nothing to another
// process.
func randomSecret() []byte {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// request returns the key of q.
func (a *authenticator) request(identity *[sha256.Size]byte, q *Request) key {
	s := a.pool.Get().(*scratch)
	defer a.pool.Put(s)
	s.text = appendRequest(s.text[:0], identity, q)
	return s.key()
}

// credentials returns the key of what the response phase sees of a request.
func (a *authenticator) credentials(authorization string, body []byte) key {
	s := a.pool.Get().(*scratch)
	defer a.pool.Put(s)
	s.text = appendCredentials(s.text[:0], authorization, body)
	return s.key()
}

// key returns the key of the text, and forgets the text, which has secrets.
func (s *scratch) key() key {
	s.mac.Reset()
	s.mac.Write(s.text)
	clear(s.text)
	return key(s.mac.Sum(s.sum[:0]))
}
