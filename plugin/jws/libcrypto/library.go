// Package libcrypto signs and verifies with OpenSSL's libcrypto 3, which takes
// little more than half of the time that crypto/rsa takes. The library is
// looked for while the program runs, so that it is the one that the gateway's
// distribution keeps up to date, and a program goes on without it.
//
// Only a build with -tags libcrypto can load it, on Linux on amd64 and arm64:
// loading needs the system's dynamic linker to start the program, and one
// without the tag stays a static binary that starts anywhere. In any other
// build Open says so, and the rest is as it would be.
package libcrypto

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
)

// KongPath is where Kong's packages and images have their own libcrypto.
const KongPath = "/usr/local/kong/lib/libcrypto.so.3"

// SystemPaths are where Debian and Ubuntu, Red Hat and Amazon Linux, and others
// have the system's. They stand in place of the dynamic linker's search, which
// the environment can lead elsewhere.
var SystemPaths = []string{
	"/usr/lib/" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu/libcrypto.so.3",
	"/usr/lib64/libcrypto.so.3",
	"/usr/lib/libcrypto.so.3",
}

var (
	// ErrUnsupported is that this build can't load a library.
	ErrUnsupported = errors.New("this build can't load libcrypto: one that can is made by go build -tags libcrypto for Linux on amd64 or arm64")
	// ErrVersion is that a library isn't OpenSSL 3, whose interface is used.
	ErrVersion = errors.New("it isn't OpenSSL 3")
)

// Library is a libcrypto. It stays loaded as long as the program runs. Safe
// for concurrent use.
type Library struct {
	path      string
	version   string
	functions [functionCount]uintptr
	// context keeps apart what openssl.cnf says of the program's other users of
	// the library, such as a PKCS #11 module: here the default provider counts.
	context uintptr
	// turns bounds the operations under way. Each occupies a thread of the
	// system, of which Go would start another for every request that waits.
	turns chan struct{}
	live  atomic.Int64 // keys that aren't freed
}

// Open loads the first of paths that is OpenSSL 3, or of KongPath and
// SystemPaths if there are none. A library runs code when it is loaded: one that
// somebody other than root and this process's user could replace isn't. The error
// says of each path why it isn't used; it is ErrUnsupported in a build that can't
// load any.
func Open(paths ...string) (*Library, error) {
	if !loads {
		return nil, ErrUnsupported
	}
	if len(paths) == 0 {
		paths = append([]string{KongPath}, SystemPaths...)
	}
	var errs []error
	for _, path := range paths {
		library, err := open(path)
		if err == nil {
			return library, nil
		}
		errs = append(errs, fmt.Errorf("load %s: %w", path, err))
	}
	return nil, errors.Join(errs...)
}

func open(path string) (*Library, error) {
	whole, err := trusted(path)
	if err != nil {
		return nil, err
	}
	handle, err := load(whole)
	if err != nil {
		return nil, err
	}
	l := &Library{path: path, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if err := l.checkVersion(handle); err != nil {
		return nil, err
	}
	for f, name := range functionNames {
		if l.functions[f], err = find(handle, name); err != nil {
			return nil, err
		}
	}
	l.version = text(l.functions[versionText], openSSLVersion)
	if l.context = l.call(contextNew); l.context == 0 {
		return nil, errors.New("it gives no context")
	}
	return l, nil
}

// checkVersion comes before all else is looked up: that is there or means the
// same only in OpenSSL 3.
func (l *Library) checkVersion(handle uintptr) error {
	address, err := find(handle, functionNames[versionNumber])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrVersion, err)
	}
	l.functions[versionNumber] = address
	if number := l.call(versionNumber); number>>28 != 3 { // 0xMNN00PP0
		return fmt.Errorf("%w: its version number is %#x", ErrVersion, number)
	}
	return nil
}

// inTurn calls f on one thread of the system, since libcrypto keeps its errors
// per thread. Those of an earlier operation aren't taken for those of f.
func (l *Library) inTurn(f func() error) error {
	l.turns <- struct{}{}
	defer func() { <-l.turns }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.call(errorClear)
	return f()
}
