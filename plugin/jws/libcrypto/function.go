package libcrypto

import (
	"bytes"
	"fmt"
	"unsafe"
)

// function is a function of libcrypto. All exist since OpenSSL 3.0, in the EVP
// interface, which isn't deprecated.
type function int

const (
	versionNumber function = iota
	versionText
	errorClear
	errorGet
	errorText
	contextNew
	pkeyFree
	operationForType
	operationForKey
	operationFree
	importInit
	importKey
	signInit
	sign
	verifyInit
	verify
	functionCount
)

var functionNames = [functionCount]string{
	versionNumber:    "OpenSSL_version_num",
	versionText:      "OpenSSL_version",
	errorClear:       "ERR_clear_error",
	errorGet:         "ERR_get_error",
	errorText:        "ERR_error_string_n",
	contextNew:       "OSSL_LIB_CTX_new",
	pkeyFree:         "EVP_PKEY_free",
	operationForType: "EVP_PKEY_CTX_new_from_name",
	operationForKey:  "EVP_PKEY_CTX_new_from_pkey",
	operationFree:    "EVP_PKEY_CTX_free",
	importInit:       "EVP_PKEY_fromdata_init",
	importKey:        "EVP_PKEY_fromdata",
	signInit:         "EVP_PKEY_sign_init_ex",
	sign:             "EVP_PKEY_sign",
	verifyInit:       "EVP_PKEY_verify_init_ex",
	verify:           "EVP_PKEY_verify",
}

// Constants of OpenSSL 3's headers.
const (
	openSSLVersion = 0    // OPENSSL_VERSION of crypto.h
	selectPublic   = 0x86 // EVP_PKEY_PUBLIC_KEY of evp.h
	selectPair     = 0x87 // EVP_PKEY_KEYPAIR
)

// call calls f. An argument that is a conversion of an unsafe.Pointer keeps
// alive what it points to until f returns; another uintptr doesn't.
//
//go:uintptrescapes
func (l *Library) call(f function, args ...uintptr) uintptr {
	return call(l.functions[f], args...)
}

// succeeds reports whether f returns 1. Functions of EVP return int: the upper half
// of the register has no meaning.
//
//go:uintptrescapes
func (l *Library) succeeds(f function, args ...uintptr) bool {
	return int32(call(l.functions[f], args...)) == 1
}

// failure returns the library's error of an operation that failed on this thread,
// without the operation's arguments.
func (l *Library) failure(operation function) error {
	name := functionNames[operation]
	code := l.call(errorGet)
	if code == 0 {
		return fmt.Errorf("%s of libcrypto failed", name)
	}
	reason := make([]byte, 256)
	l.call(errorText, code, uintptr(unsafe.Pointer(&reason[0])), uintptr(len(reason)))
	l.call(errorClear)
	reason, _, _ = bytes.Cut(reason, []byte{0})
	return fmt.Errorf("%s of libcrypto failed: %s", name, reason)
}
