package jws

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// coordinateSizes are the octets of a coordinate of a curve (RFC 7518, section 6.2.1).
var coordinateSizes = map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}

// public returns the public key. The library reads only what this one passes to it.
func (m members) public() (key jose.JSONWebKey, err error) {
	kty, _ := m.text("kty")
	crv, _ := m.text("crv")
	given := map[string]string{"kty": kty}
	switch {
	case kty == "RSA":
		err = m.add(given, 0, "n", "e")
	case kty == "EC" && coordinateSizes[crv] != 0:
		given["crv"] = crv
		err = m.add(given, coordinateSizes[crv], "x", "y")
	case kty == "OKP" && crv == "Ed25519":
		given["crv"] = crv
		err = m.add(given, 0, "x")
	case kty == "OKP" && (crv == "X25519" || crv == "X448"):
		err = fmt.Errorf("its crv is %s: %w", crv, errEncrypts)
	case kty == "":
		err = errors.New("kty is missing")
	case kty == "EC", kty == "OKP":
		err = fmt.Errorf("its crv %.40q is not supported", crv)
	default:
		err = fmt.Errorf("its kty %.40q is not supported", kty)
	}
	if err != nil {
		return key, err
	}
	text, err := json.Marshal(given)
	if err != nil {
		return key, err
	}
	if key.UnmarshalJSON(text) != nil {
		return key, fmt.Errorf("not a valid %s key", kty)
	}
	if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		return key, fmt.Errorf("an RSA key of %d bits is too weak", public.N.BitLen())
	}
	return key, nil
}

// add adds the numbers called names to given, each of size octets, or of as many
// as it has if size is zero.
func (m members) add(given map[string]string, size int, names ...string) error {
	for _, name := range names {
		text, ok := m.text(name)
		if ok && text == "" {
			return fmt.Errorf("%s is missing", name)
		}
		octets, err := octetsOf(text)
		if !ok || err != nil {
			return fmt.Errorf("%s is not base64url", name)
		}
		if size > 0 {
			octets = bytes.TrimLeft(octets, "\x00")
			octets = append(make([]byte, max(0, size-len(octets))), octets...)
		}
		given[name] = base64.RawURLEncoding.EncodeToString(octets)
	}
	return nil
}

// octetsOf reads base64url (RFC 7515, section 2). Padding, the alphabet of plain
// base64 and line breaks are read, too, because they can mean no other octets.
func octetsOf(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "=\r\n"))
	return base64.RawURLEncoding.DecodeString(text)
}
