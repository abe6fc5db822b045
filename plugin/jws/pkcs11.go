//go:build pkcs11

package jws

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
)

// Bounds of the use of a token.
const (
	// tokenPatience is how long a signature may take. A token that hangs holds
	// up no request for longer.
	tokenPatience = time.Second
	// sessionPatience is how long a signature waits for a session. It is less,
	// so that a crowd isn't taken for a token that hangs.
	sessionPatience = tokenPatience / 2
	// maxSessions is how many signatures are made at a time, and one more: the
	// session that stays logged in.
	maxSessions = 17
)

// tokenSource reads the ring of a token, time and again, one read at a time.
type tokenSource struct {
	uri    tokenURI
	token  *token // nil if it isn't open
	opened int    // how often it was
	last   content
}

func readToken(u tokenURI) func() content { return (&tokenSource{uri: u}).read }

func (s *tokenSource) read() content {
	secret, err := s.uri.pin()
	if err == nil {
		err = s.open(secret)
	}
	var keys []*tokenKey
	if err == nil {
		keys, err = s.token.keys(s.uri)
	}
	if err != nil {
		return content{err: fmt.Errorf("%s: %w", s.uri, err)}
	}
	c := s.ring(keys)
	c.exposed = secret.exposed
	return c
}

// open opens the token if it isn't open or has failed. The one that has failed
// is left to those who still use its ring, unless there is no other: then it
// is closed, so that the next attempt starts its library anew.
func (s *tokenSource) open(secret pin) error {
	before := s.token
	if before != nil && !before.failed.Load() {
		return nil
	}
	var err error
	s.token, err = openToken(s.uri, secret)
	if before != nil && (err != nil || s.last.ring == nil) {
		go before.close()
	}
	s.opened++
	s.last = content{}
	return err
}

// ring returns the ring of keys, the one from before if they are the same: a
// new one makes each key sign.
func (s *tokenSource) ring(keys []*tokenKey) content {
	text := strconv.AppendInt(nil, int64(s.opened), 10)
	ringKeys := make([]Key, len(keys))
	for i, key := range keys {
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return content{err: fmt.Errorf("%s: key %d: its type is not supported", s.uri, i+1)}
		}
		text = append(text, public...)
		ringKeys[i] = Key{Signer: key}
	}
	if bytes.Equal(text, s.last.text) {
		return s.last
	}
	s.last = content{text: text}
	var err error
	if s.last.ring, err = NewRing(ringKeys...); err != nil {
		s.last.err = fmt.Errorf("%s: %w", s.uri, err)
	}
	return s.last
}

// token is an open token. It is closed when nothing refers to it any more, no
// ring either: signatures under way are made.
type token struct {
	context *crypto11.Context
	failed  atomic.Bool // to be opened anew
	close   func()      // waits for signatures under way
}

func newToken(context *crypto11.Context) *token {
	t := &token{context: context, close: sync.OnceFunc(func() { _ = context.Close() })}
	runtime.AddCleanup(t, func(closeToken func()) { go closeToken() }, t.close)
	return t
}

// keys returns the ring's keys in the order of their ids, but the one that
// signs first.
func (t *token) keys(u tokenURI) ([]*tokenKey, error) {
	pairs, err := t.context.FindKeyPairs(nil, []byte(u.object))
	if err != nil {
		return nil, t.noted(fmt.Errorf("find its key pairs: %w", err))
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("the token has no key pair with the label %q", u.object)
	}
	keys := make([]*tokenKey, len(pairs))
	for i, pair := range pairs {
		id, err := t.context.GetAttribute(pair, crypto11.CkaId)
		if err != nil {
			return nil, t.noted(fmt.Errorf("read the id of a key pair: %w", err))
		}
		keys[i] = &tokenKey{pair, string(id.Value), t}
	}
	return inOrder(keys, u)
}

func inOrder(keys []*tokenKey, u tokenURI) ([]*tokenKey, error) {
	slices.SortFunc(keys, func(a, b *tokenKey) int { return cmp.Compare(a.id, b.id) })
	for i, key := range keys[1:] {
		if key.id == keys[i].id {
			return nil, fmt.Errorf("the token has two key pairs with the label %q and the id %x", u.object, key.id)
		}
	}
	if u.id == "" {
		return keys, nil
	}
	i := slices.IndexFunc(keys, func(key *tokenKey) bool { return key.id == u.id })
	if i < 0 {
		return nil, fmt.Errorf("the token has no key pair with the label %q and the id %x", u.object, u.id)
	}
	return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]), nil
}

// noted returns err, having noted whether the token has failed.
func (t *token) noted(err error) error {
	if _, failed := errors.AsType[pkcs11.Error](err); failed {
		t.failed.Store(true)
	}
	return err
}

// tokenKey is a key whose private part stays in its token. Safe for concurrent
// use.
type tokenKey struct {
	crypto.Signer
	id    string
	token *token // which stays open as long as it is referred to
}

// Sign waits for the token for tokenPatience at most. What hangs in its library
// goes on hanging, each with one of maxSessions.
func (k *tokenKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	type result struct {
		signature []byte
		err       error
	}
	done := make(chan result, 1)
	go func() {
		signature, err := safely(func() ([]byte, error) { return k.Signer.Sign(rand, digest, opts) })
		done <- result{signature, k.token.noted(err)}
	}()
	patience := time.NewTimer(tokenPatience)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.signature, r.err
	case <-patience.C:
		k.token.failed.Store(true)
		return nil, fmt.Errorf("the token didn't answer within %v", tokenPatience)
	}
}
