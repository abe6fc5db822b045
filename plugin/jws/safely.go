package jws

import "fmt"

// safely calls f, whose panic becomes an error: in a goroutine of its own it
// would end the process. The error doesn't show the panic's value, which could
// hold anything.
func safely[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T", v)
		}
	}()
	return f()
}
