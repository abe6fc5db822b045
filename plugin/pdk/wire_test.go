package pdk

import (
	"encoding/binary"
	"errors"
	"testing"

	"m2m-token-enricher/test/pdktest"
)

// TestFrameTooLarge: what can't be a frame of Kong's is read no further.
func TestFrameTooLarge(t *testing.T) {
	ours, theirs := pdktest.Sockets(t)
	defer ours.Close()
	defer theirs.Close()
	if _, err := ours.Write(binary.LittleEndian.AppendUint32(nil, pdktest.MaxFrame+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := newWire(theirs).frame(); !errors.Is(err, errFrameTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestLargeBuffersGo: one large event doesn't keep its memory for ever.
func TestLargeBuffersGo(t *testing.T) {
	w := &wire{read: make([]byte, keptBuffer+1), out: make([]byte, keptBuffer+1)}
	if w.begin(); cap(w.read) != 0 || cap(w.out) != 0 {
		t.Errorf("%d and %d bytes are kept", cap(w.read), cap(w.out))
	}
	w = &wire{read: make([]byte, keptBuffer), out: make([]byte, keptBuffer)}
	if w.begin(); cap(w.read) != keptBuffer || cap(w.out) != keptBuffer || len(w.read)+len(w.out) != 0 {
		t.Errorf("%d and %d bytes are kept", cap(w.read), cap(w.out))
	}
}
