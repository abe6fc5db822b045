//go:build !libcrypto || !linux || !(amd64 || arm64)

package libcrypto

// loads: this build can't load a library, and reaches nothing below.
const loads = false

func load(string) (handle uintptr, err error) { return 0, ErrUnsupported }

func find(uintptr, string) (uintptr, error) { return 0, ErrUnsupported }

//go:uintptrescapes
func call(uintptr, ...uintptr) uintptr { return 0 }

func text(uintptr, int32) string { return "" }
