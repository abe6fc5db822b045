// Package libcrypto signs and verifies with OpenSSL's libcrypto 3, which takes
// little more than half the time of crypto/rsa. A running program looks for the
// library: it is the one that the distribution keeps up to date, and a program
// works without it.
//
// Only a build with -tags libcrypto for Linux on amd64 or arm64 can load it. The
// system's dynamic linker must start such a program, while a build without the
// tag is a static binary that starts anywhere. Its Open returns ErrUnsupported.
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
// have the system's. The dynamic linker's search isn't used, because the
// environment can lead it elsewhere.
var SystemPaths = []string{
	"/usr/lib/" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu/libcrypto.so.3",
	"/usr/lib64/libcrypto.so.3",
	"/usr/lib/libcrypto.so.3",
}

var (
	// ErrUnsupported: this build can't load a library.
	ErrUnsupported = errors.New("this build can't load libcrypto: one that can is made by go build -tags libcrypto for Linux on amd64 or arm64")
	// ErrVersion: a library isn't OpenSSL 3, whose interface is used.
	ErrVersion = errors.New("it isn't OpenSSL 3")
)

// Library is a libcrypto. It stays loaded as long as the program runs. Safe
// for concurrent use.
type Library struct {
	path      string
	version   string
	functions [functionCount]uintptr
	// context is the default provider's. openssl.cnf doesn't change it for another
	// user of the library in this program, such as a PKCS #11 module.
	context uintptr
	// turns bounds the operations at a time. Each occupies a thread of the system,
	// and Go would start another for every request that waits.
	turns chan struct{}
	live  atomic.Int64 // keys that aren't freed
}

// Open loads the first of paths that is OpenSSL 3. Without paths, it tries KongPath
// and SystemPaths. A library runs code when it is loaded, so Open refuses one that
// anybody except root and this process's user could replace. The error has the
// reason for each path, or is ErrUnsupported.
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

// checkVersion must come first: other functions exist, or mean the same, only in
// OpenSSL 3.
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

// inTurn calls f on one thread of the system, because libcrypto keeps errors per
// thread. It clears those of earlier operations.
func (l *Library) inTurn(f func() error) error {
	l.turns <- struct{}{}
	defer func() { <-l.turns }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.call(errorClear)
	return f()
}
