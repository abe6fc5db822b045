//go:build libcrypto && linux && (amd64 || arm64)

package libcrypto

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/ebitengine/purego"
)

// soname is what OpenSSL 3 calls its library on Linux.
const soname = "libcrypto.so.3"

// loads: this build can load a library.
const loads = true

// load loads the library at an absolute path, with all that it needs. Its names
// don't reach other libraries.
func load(path string) (handle uintptr, err error) {
	if err := examine(path); err != nil {
		return 0, err
	}
	runtime.LockOSThread() // the linker's error is kept per thread
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// examine returns an error if the file at path shouldn't be loaded: the linker
// would run the code of another library, and a truncated file ends the process.
func examine(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	library, err := elf.NewFile(file)
	if err != nil {
		return fmt.Errorf("not a whole library: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for _, part := range library.Progs {
		if part.Off > uint64(info.Size()) || part.Filesz > uint64(info.Size())-part.Off {
			return errors.New("not a whole library")
		}
	}
	if names, err := library.DynString(elf.DT_SONAME); err != nil || !slices.Contains(names, soname) {
		return fmt.Errorf("%w: its name is %q, not %s", ErrVersion, names, soname)
	}
	return nil
}

// find returns the address of a function of a library.
func find(handle uintptr, name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlsym(handle, name)
}

//go:uintptrescapes
func call(function uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(function, args...)
	return result
}

// text returns a copy of the C string that function returns.
func text(function uintptr, argument int32) string {
	var f func(int32) string
	purego.RegisterFunc(&f, function)
	return f(argument)
}
