package jws

import "fmt"

// recovered calls f and turns a panic into an error: a panic in a goroutine
// would end the process. The error doesn't show the panic's value, which could
// be a secret.
func recovered[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T", v)
		}
	}()
	return f()
}
