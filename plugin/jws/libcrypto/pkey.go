package libcrypto

import (
	"fmt"
	"runtime"
	"unsafe"
)

// pkey is an EVP_PKEY. When nothing refers to it any more, its private part is
// overwritten, and it is freed. Users of its address must keep it alive until
// libcrypto returns.
type pkey struct {
	library *Library
	address uintptr
}

// importKey copies a key into the library.
func (l *Library) importKey(algorithm string, selection uintptr, values params) (*pkey, error) {
	k := &pkey{library: l}
	err := l.inTurn(func() error {
		name := append([]byte(algorithm), 0)
		operation := l.call(operationForType, l.context, uintptr(unsafe.Pointer(&name[0])), 0)
		if operation == 0 {
			return l.failure(operationForType)
		}
		defer l.call(operationFree, operation)
		if !l.succeeds(importInit, operation) {
			return l.failure(importInit)
		}
		var pinner runtime.Pinner
		defer pinner.Unpin()
		array := values.pin(&pinner)
		if !l.succeeds(importKey, operation, uintptr(unsafe.Pointer(&k.address)), selection, uintptr(array)) {
			return l.failure(importKey)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("import the %s key: %w", algorithm, err)
	}
	l.live.Add(1)
	runtime.AddCleanup(k, l.free, k.address)
	return k, nil
}

func (l *Library) free(address uintptr) {
	l.call(pkeyFree, address)
	l.live.Add(-1)
}

// sign returns the signature of digest, of size bytes at most. Each call makes a
// context: it can't be shared, and costs a thousandth of a signature.
func (k *pkey) sign(digest []byte, size int, scheme *scheme) ([]byte, error) {
	defer runtime.KeepAlive(k)
	if len(digest) != scheme.digestSize {
		return nil, fmt.Errorf("a digest of %d bytes, not %d", len(digest), scheme.digestSize)
	}
	l, signature, length := k.library, make([]byte, size), uintptr(size)
	err := k.operate(signInit, scheme, func(operation uintptr) error {
		if !l.succeeds(sign, operation, uintptr(unsafe.Pointer(&signature[0])), uintptr(unsafe.Pointer(&length)),
			uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest))) {
			return l.failure(sign)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signature[:length], nil
}

// verify reports whether signature is the key's of digest. The error means that
// the answer is unknown.
func (k *pkey) verify(digest, signature []byte, scheme *scheme) (verified bool, err error) {
	defer runtime.KeepAlive(k)
	if len(digest) != scheme.digestSize || len(signature) == 0 {
		return false, nil
	}
	l := k.library
	err = k.operate(verifyInit, scheme, func(operation uintptr) error {
		result := int32(l.call(verify, operation, uintptr(unsafe.Pointer(&signature[0])), uintptr(len(signature)),
			uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest))))
		if result != 0 && result != 1 {
			return l.failure(verify)
		}
		verified = result == 1
		return nil
	})
	return verified, err
}

// operate calls f with a new operation of k that init prepared.
func (k *pkey) operate(init function, scheme *scheme, f func(operation uintptr) error) error {
	l := k.library
	return l.inTurn(func() error {
		operation := l.call(operationForKey, l.context, k.address, 0)
		if operation == 0 {
			return l.failure(operationForKey)
		}
		defer l.call(operationFree, operation)
		if !l.succeeds(init, operation, uintptr(scheme.array)) {
			return l.failure(init)
		}
		return f(operation)
	})
}
