package plugin

import (
	"bytes"
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// controls are parts of the names of headers that direct caches: any cache may
// have a field of its own, NAME-Cache-Control (RFC 9213, section 2.1).
var controls = [][]byte{[]byte("cache-control"), []byte("surrogate-control"), []byte("edge-control")}

// cacheHeader reports whether the header called name, in lower case, may say that a
// cache keeps the answer, or for how long, whatever Cache-Control says. That
// itself is overruled.
func cacheHeader(name []byte) bool {
	if !bytes.Contains(name, []byte("control")) {
		return bytes.HasSuffix(name, []byte("expires")) || bytes.HasSuffix(name, []byte("ttl"))
	}
	if string(name) == "cache-control" {
		return false
	}
	name = bytes.ReplaceAll(name, []byte("_"), []byte("-"))
	return slices.ContainsFunc(controls, func(c []byte) bool { return bytes.Contains(name, c) })
}

// deletable reports whether Kong deletes the header called name when asked to:
// OpenResty takes _ for -, and bytes that aren't UTF-8 spoil all headers of an
// exit.
func deletable(name []byte) bool {
	return !slices.ContainsFunc(name, func(c byte) bool { return c <= ' ' || c > '~' || c == '_' })
}

// askHeaders asks for the headers of the answer, which are the upstream's.
func (k *kong) askHeaders() {
	k.cacheHeaders = []string{}
	k.wire.ask("kong.response.get_headers", intMessage(maxHeaders))
}

// readCacheHeaders reads the reply to askHeaders and remembers the names of the
// headers that must go from an answer with a token. unclear is why some of them
// are unknown or can't be deleted.
func (k *kong) readCacheHeaders() (unclear, err error) {
	err = k.reply("the answer's headers", func(message []byte) (err error) {
		unclear, err = k.parseCacheHeaders(message)
		return err
	})
	return unclear, err
}

// parseCacheHeaders reads a google.protobuf.Struct of strings and lists of strings.
func (k *kong) parseCacheHeaders(message []byte) (unclear, err error) {
	lines := 0
	err = fields(message, func(n protowire.Number, typ protowire.Type, raw []byte) error {
		if n != 1 {
			return nil
		}
		entry, err := bytesOf(typ, raw)
		if err != nil {
			return err
		}
		name, nameErr := field(entry, 1)
		value, valueErr := field(entry, 2)
		count, countErr := linesOf(value)
		lines += count
		switch {
		case !cacheHeader(name):
		case deletable(name):
			k.cacheHeaders = append(k.cacheHeaders, string(name))
		default:
			unclear = errors.New("a header for caches can't be deleted")
		}
		return errors.Join(nameErr, valueErr, countErr)
	})
	if lines >= maxHeaders {
		unclear = errors.New("too many headers")
	}
	return unclear, err
}

// linesOf returns how many lines a header has by its google.protobuf.Value.
func linesOf(value []byte) (lines int, err error) {
	_, list, err := kindsOf(value)
	if list == nil || err != nil {
		return 1, err
	}
	err = fields(list, func(protowire.Number, protowire.Type, []byte) error { lines++; return nil })
	return lines, err
}

// without returns headers that also delete those by which a cache could keep
// the upstream's answer.
func (k *kong) without(headers headerFields) headerFields {
	if len(k.cacheHeaders) == 0 {
		return headers
	}
	more := map[string][]string{}
	for _, name := range k.cacheHeaders {
		more[name] = []string{}
	}
	return append(slices.Clip(headers), newHeaderFields(more)...)
}

// forbidStoring makes the upstream's answer, which stays otherwise, one that no
// cache keeps (RFC 6749, section 5.1).
func (k *kong) forbidStoring() {
	if k.cacheHeaders == nil { // the exchange wasn't asked for
		k.askHeaders()
		_, _ = k.readCacheHeaders() // what is known then goes
	}
	k.setHeader("Cache-Control", "no-store")
	k.setHeader("Pragma", "no-cache")
	for _, name := range k.cacheHeaders {
		k.wire.tell("kong.response.clear_header", stringMessage(name))
	}
}
