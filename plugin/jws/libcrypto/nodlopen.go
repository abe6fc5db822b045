//go:build !libcrypto || !linux || !(amd64 || arm64)

package libcrypto

// loads says that this build can't load a library: nothing below is reached.
const loads = false

func load(string) (handle uintptr, err error) { return 0, ErrUnsupported }

func find(uintptr, string) (uintptr, error) { return 0, ErrUnsupported }

//go:uintptrescapes
func call(uintptr, ...uintptr) uintptr { return 0 }

func text(uintptr, int32) string { return "" }
