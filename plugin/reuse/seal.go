package reuse

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// slot is where the fleet keeps the answer to one request. Its name and its key come
// from the exact request and reuse.secret, so only who sends the request again finds
// the answer and can read it.
type slot struct {
	name string
	key  key
}

// sealed is what every sealed value is authenticated with, besides the slot's name. A
// change of the form takes another text.
const sealed = "m2m-token-enricher reuse 1 "

// newSlot returns the slot of a request. Its key is under reuse.secret.
func newSlot(request key) (slot, error) {
	name, err := hkdf.Expand(sha256.New, request[:], "name", sha256.Size)
	if err != nil {
		return slot{}, err
	}
	secret, err := hkdf.Expand(sha256.New, request[:], "key", sha256.Size)
	if err != nil {
		return slot{}, err
	}
	return slot{base64.RawURLEncoding.EncodeToString(name), key(secret)}, nil
}

// seal encrypts and authenticates text.
func (s *slot) seal(text []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, text, []byte(sealed+s.name)), nil
}

// open returns the text that was sealed for this slot. The error says nothing about the
// value.
func (s *slot) open(value []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, nil, value, []byte(sealed+s.name))
	if err != nil {
		return nil, errors.New("the shared answer was changed, or isn't one for this request")
	}
	return text, nil
}

// aead encrypts with a random nonce, which it puts before the text.
func (s *slot) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
