package pdk

import "fmt"

// calls are calls of the PDK whose replies are read later, ready to be sent together
// any number of times.
type calls struct {
	frames []byte
	number int
}

// with returns c and one more call.
func (c calls) with(method string, args func(out []byte) []byte) calls {
	var w wire
	w.call(method, args, true)
	return calls{append(c.frames[:len(c.frames):len(c.frames)], w.out...), c.number + 1}
}

// withVariables returns c and a question for each of nginx' variables.
func (c calls) withVariables(names ...string) calls {
	for _, name := range names {
		c = c.with("kong.nginx.get_var", stringMessage(name))
	}
	return c
}

// askAll is ask for calls that are ready.
func (w *wire) askAll(c calls) {
	if w.broken != nil {
		return
	}
	w.out = append(w.out, c.frames...)
	for range c.number {
		w.replies = append(w.replies, true)
	}
}

// Values are the values of variables of nginx. They need not be UTF-8.
type Values struct {
	names  []string
	values [][]byte
}

// Of returns the value of the variable called name, nil if nobody asked for it or
// there is none.
func (v Values) Of(name string) []byte {
	for i, known := range v.names {
		if known == name && i < len(v.values) {
			return v.values[i]
		}
	}
	return nil
}

// variables reads the replies that are the values of variables.
func (e *Event) variables(names []string) (v Values, err error) {
	if len(names) == 0 {
		return v, nil
	}
	v.names, v.values = names, make([][]byte, 0, len(names))
	for _, name := range names {
		value, err := e.variable(name)
		if err != nil {
			return v, err
		}
		v.values = append(v.values, value)
	}
	return v, nil
}

// variable reads the reply that is the value of a variable.
func (e *Event) variable(name string) (value []byte, err error) {
	read := func(message []byte) (err error) {
		value, err = field(message, 1)
		return err
	}
	if err := e.wire.reply(read); err != nil {
		return nil, fmt.Errorf("ask Kong for nginx' variable %s: %w", name, err)
	}
	return value, nil
}
