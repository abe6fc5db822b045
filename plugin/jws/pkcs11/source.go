//go:build pkcs11

package pkcs11

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"m2m-token-enricher/plugin/jws"
)

// Bounds of the use of a token.
const (
	// signTime is how long a signature may take, and a request waits for a token
	// that hangs.
	signTime = time.Second
	// sessionTime is how long a signature waits for a session. It is less, or a
	// crowd would look like a token that hangs.
	sessionTime = signTime / 2
	// maxSessions is how many signatures run at a time, and one more: the session
	// that stays logged in.
	maxSessions = 17
)

// source reads the ring of a token.
type source struct {
	uri    tokenURI
	token  *token // nil if it isn't open
	opened int    // how often it was opened
	last   jws.RingContent
}

func openToken(u tokenURI) jws.RingSource { return &source{uri: u} }

func (s *source) String() string { return s.uri.String() }

// Read implements [jws.RingSource].
func (s *source) Read() jws.RingContent {
	secret, err := s.uri.pin()
	if err == nil {
		err = s.open(secret)
	}
	var keys []*key
	if err == nil {
		keys, err = s.token.keys(s.uri)
	}
	if err != nil {
		return jws.RingContent{Err: fmt.Errorf("%s: %w", s.uri, err)}
	}
	c := s.ring(keys)
	c.Exposed = secret.exposed
	return c
}

// open opens the token if it isn't open or has failed. A failed token stays open
// for those who still use its ring. If there is no other ring, it is closed, and
// the next attempt starts its library again.
func (s *source) open(secret pin) error {
	previous := s.token
	if previous != nil && !previous.failed.Load() {
		return nil
	}
	var err error
	s.token, err = login(s.uri, secret)
	if previous != nil && (err != nil || s.last.Ring == nil) {
		go previous.close()
	}
	s.opened++
	s.last = jws.RingContent{}
	return err
}

// ring returns the ring of keys. It is the previous one if the keys are the
// same, because a new ring makes each key sign.
func (s *source) ring(keys []*key) jws.RingContent {
	text := strconv.AppendInt(nil, int64(s.opened), 10)
	ringKeys := make([]jws.Key, len(keys))
	for i, key := range keys {
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return jws.RingContent{Err: fmt.Errorf("%s: key %d: its type is not supported", s.uri, i+1)}
		}
		text = append(text, public...)
		ringKeys[i] = jws.Key{Signer: key}
	}
	if bytes.Equal(text, s.last.Text) {
		return s.last
	}
	s.last = jws.RingContent{Text: text}
	var err error
	if s.last.Ring, err = jws.NewRing(ringKeys...); err != nil {
		s.last.Err = fmt.Errorf("%s: %w", s.uri, err)
	}
	return s.last
}

// token is an open token. It is closed when nothing refers to it any more, no
// ring either. Signatures that have begun are finished.
type token struct {
	context *crypto11.Context
	failed  atomic.Bool // it must be opened again
	close   func()      // waits for signatures
}

func newToken(context *crypto11.Context) *token {
	t := &token{context: context, close: sync.OnceFunc(func() { _ = context.Close() })}
	runtime.AddCleanup(t, func(closeToken func()) { go closeToken() }, t.close)
	return t
}

// keys returns the ring's keys: the one that signs, then the others in the order
// of their ids.
func (t *token) keys(u tokenURI) ([]*key, error) {
	pairs, err := t.context.FindKeyPairs(nil, []byte(u.object))
	if err != nil {
		return nil, t.check(fmt.Errorf("find its key pairs: %w", err))
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("the token has no key pair with the label %q", u.object)
	}
	keys := make([]*key, len(pairs))
	for i, pair := range pairs {
		id, err := t.context.GetAttribute(pair, crypto11.CkaId)
		if err != nil {
			return nil, t.check(fmt.Errorf("read the id of a key pair: %w", err))
		}
		keys[i] = &key{pair, string(id.Value), t}
	}
	return inOrder(keys, u)
}

func inOrder(keys []*key, u tokenURI) ([]*key, error) {
	slices.SortFunc(keys, func(a, b *key) int { return cmp.Compare(a.id, b.id) })
	for i, key := range keys[1:] {
		if key.id == keys[i].id {
			return nil, fmt.Errorf("the token has two key pairs with the label %q and the id %x", u.object, key.id)
		}
	}
	if u.id == "" {
		return keys, nil
	}
	i := slices.IndexFunc(keys, func(key *key) bool { return key.id == u.id })
	if i < 0 {
		return nil, fmt.Errorf("the token has no key pair with the label %q and the id %x", u.object, u.id)
	}
	return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]), nil
}

// check returns err. The token has failed if err is its library's.
func (t *token) check(err error) error {
	if _, failed := errors.AsType[pkcs11.Error](err); failed {
		t.failed.Store(true)
	}
	return err
}

// key is a key whose private part stays in its token. Safe for concurrent use.
type key struct {
	crypto.Signer
	id    string
	token *token // which stays open as long as a key refers to it
}

// Sign waits for the token for signTime at most. A call that hangs in the
// library keeps one of maxSessions.
func (k *key) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	type result struct {
		signature []byte
		err       error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the token's library panicked")}
		defer func() { _ = recover(); done <- r }() // a panic would end the process
		signature, err := k.Signer.Sign(rand, digest, opts)
		r = result{signature, k.token.check(err)}
	}()
	timer := time.NewTimer(signTime)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.signature, r.err
	case <-timer.C:
		k.token.failed.Store(true)
		return nil, fmt.Errorf("the token didn't answer within %v", signTime)
	}
}
