package libcrypto

import (
	"math/big"
	"runtime"
	"slices"
	"structs"
	"unsafe"
)

// param is OSSL_PARAM of OpenSSL's core.h: one named value of an array that an
// empty name ends.
type param struct {
	_ structs.HostLayout

	name     unsafe.Pointer
	kind     uint32
	data     unsafe.Pointer
	size     uintptr
	returned uintptr // the size of an answer; nothing is asked here
}

// Kinds of a param.
const (
	kindUnsigned = 2 // OSSL_PARAM_UNSIGNED_INTEGER
	kindText     = 4 // OSSL_PARAM_UTF8_STRING
	kindBytes    = 5 // OSSL_PARAM_OCTET_STRING
)

// params is an array of params without its end. It must be pinned while libcrypto
// reads it.
type params []param

func (p params) text(name, value string) params {
	return append(p, param{name: cString(name), kind: kindText, data: cString(value), size: uintptr(len(value))})
}

func (p params) bytes(name string, value []byte) params {
	return append(p, param{name: cString(name), kind: kindBytes, data: unsafe.Pointer(unsafe.SliceData(value)), size: uintptr(len(value))})
}

// number appends n.
func (p params) number(name string, n *big.Int) params {
	return p.unsigned(name, n.FillBytes(make([]byte, (n.BitLen()+7)/8)))
}

// unsigned appends a big-endian number and reverses it in place: libcrypto reads
// the machine's byte order, which is little-endian on all supported ones.
func (p params) unsigned(name string, value []byte) params {
	slices.Reverse(value)
	p = p.bytes(name, value)
	p[len(p)-1].kind = kindUnsigned
	return p
}

// pin returns the address of the array with its end. Nothing of it is moved or
// freed until pinner is unpinned.
func (p params) pin(pinner *runtime.Pinner) unsafe.Pointer {
	ended := append(slices.Clip(p), param{})
	pinner.Pin(&ended[0])
	for _, value := range p {
		pinner.Pin(value.name)
		pinner.Pin(value.data)
	}
	return unsafe.Pointer(&ended[0])
}

// wipe overwrites the values.
func (p params) wipe() {
	for _, value := range p {
		clear(unsafe.Slice((*byte)(value.data), value.size))
	}
}

func cString(s string) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append([]byte(s), 0)))
}
