package plugin

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/pdk"
)

// controls are in the names of headers that direct caches: any cache may have its
// own, NAME-Cache-Control (RFC 9213, section 2.1).
var controls = [][]byte{[]byte("cache-control"), []byte("surrogate-control"), []byte("edge-control")}

// cacheHeader reports whether the header called name, in lower case, may make a
// cache keep the answer in spite of Cache-Control, which the gateway sets itself.
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

// deletable reports whether Kong can delete the header called name: OpenResty reads
// _ as -, and bytes that aren't UTF-8 spoil all headers of an exit.
func deletable(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '_' })
}

// deletableHeaders returns the headers of answer to delete if it has a token.
// unclear is why some of them are unknown or can't be deleted.
func deletableHeaders(answer pdk.HeaderNames) (names []string, unclear error) {
	for _, name := range answer.Names {
		if deletable(name) {
			names = append(names, name)
		} else {
			unclear = errors.New("a header for caches can't be deleted")
		}
	}
	if answer.Lines >= pdk.MaxHeaders {
		unclear = errors.New("too many headers")
	}
	return names, unclear
}

// forbidStoring changes the upstream's answer so that no cache keeps it (RFC 6749,
// section 5.1).
func (e *event) forbidStoring() {
	if !e.cacheHeadersKnown { // the event failed before it asked
		answer, _ := e.kong.AnswerHeaders(cacheHeader)
		_ = e.setCacheHeaders(answer) // what is known is deleted
	}
	e.kong.SetHeader("Cache-Control", "no-store")
	e.kong.SetHeader("Pragma", "no-cache")
	for _, name := range e.cacheHeaders {
		e.kong.ClearHeader(name)
	}
}
