package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// common are the commands that every Redis proxy knows. A connection that is
// closed at one of them says nothing about a proxy.
var common = []string{"hmget", "hgetall", "exists", "ping"}

// Lost reports whether err is that the other side closed the connection.
func Lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// closedError says at which command the connection was closed. Its text is the
// same however the system reports that.
type closedError struct {
	command string // in lower case
	form    string // of the command, if the command alone doesn't say it
	err     error
}

func (e *closedError) Error() string {
	text := fmt.Sprintf("it closed the connection at %s%s", strings.ToUpper(e.command), e.form)
	if slices.Contains(common, e.command) {
		return text
	}
	unknown := "that command"
	if e.form != "" {
		unknown = "that form"
	}
	return text + ": a Redis proxy does so if it doesn't know " + unknown + " (docs/redis.md)"
}

// Unwrap returns a list because the driver unwraps the error of a connection's setup
// once with [errors.Unwrap], which leaves a list as it is.
func (e *closedError) Unwrap() []error { return []error{e.err} }

// named returns err with the name of the command at which the connection was
// closed, if it was. A command of the connection's setup keeps its name.
func named(command redis.Cmder, err error) error {
	if _, known := errors.AsType[*closedError](err); known || !Lost(err) {
		return err
	}
	closed := &closedError{command: command.Name(), err: err}
	if closed.command == "auth" && len(command.Args()) == 3 {
		closed.form = " with a user name"
	}
	return closed
}

// naming is a hook that names the command at which a connection was closed.
type naming struct{}

func (naming) DialHook(next redis.DialHook) redis.DialHook { return next }

func (naming) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error { return named(command, next(ctx, command)) }
}

func (naming) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		for _, c := range commands {
			c.SetErr(named(c, c.Err()))
		}
		for _, c := range commands {
			if Lost(err) && c.Err() != nil {
				return named(c, err)
			}
		}
		return err
	}
}

// plain is a hook that keeps the driver from sending HELLO, which it does for
// each new connection and some Redis proxies don't know. The driver then takes
// the server for one before HELLO: it sends AUTH if there is a password, and
// speaks RESP2. Its option for RESP2 would send HELLO, too. It would also write
// without a look at what has arrived, and lose the alert with which a server
// refuses a client certificate.
type plain struct{ naming }

// errNoHello has the form of a server's answer, because the driver gives up for
// any other error.
var errNoHello redis.Error = noHello{}

type noHello struct{}

func (noHello) Error() string { return "ERR HELLO isn't sent" }

func (noHello) RedisError() {}

func (p plain) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	next = p.naming.ProcessHook(next)
	return func(ctx context.Context, command redis.Cmder) error {
		if command.Name() == "hello" && len(command.Args()) > 1 { // without a version it is a question
			return errNoHello
		}
		return next(ctx, command)
	}
}
