package kongtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"google.golang.org/protobuf/proto"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// maxRetries bounds how often one event is sent again. Kong itself never
// stops: a plugin that closes its connection in every event keeps one of
// Kong's workers busy for ever.
const maxRetries = 1000

// worker stands for an nginx worker, which has its own connections and its own
// instances.
type worker struct {
	number int
	pool   *pool
	calls  atomic.Int64 // sequence of RPCs
}

// handle runs one phase of the plugin for x. It reports whether the plugin
// ended the request with kong.response.exit. A closed connection means that
// the plugin doesn't know the instance: it is started again and the event
// repeated. Every other error is final.
func (w *worker) handle(ctx context.Context, x *exchange, phase string) (exited bool, err error) {
	x.phase = phase
	for range maxRetries {
		id, err := w.instanceID(ctx, x.plugin)
		if err != nil {
			return false, err
		}
		exited, err := w.event(ctx, x, id, phase)
		if err == nil || !isClosed(err) {
			return exited, err
		}
		w.forget(x.plugin, id)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return false, fmt.Errorf("the plugin closed the connection during %s %d times", phase, maxRetries)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// event sends one event to an instance and answers its PDK calls.
func (w *worker) event(ctx context.Context, x *exchange, id int32, phase string) (exited bool, err error) {
	c, err := w.pool.get(ctx)
	if err != nil {
		return false, err
	}
	call := &kong_plugin_protocol.RpcCall{
		Sequence: w.calls.Add(1),
		Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
			CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: phase},
		},
	}
	if err = c.send(call); err == nil {
		exited, err = c.serve(x)
	}
	if err == nil && !exited {
		_, err = c.readReturn(call.Sequence)
	}
	if err != nil || exited { // the reply to exit is the end of the connection
		c.Close()
	} else {
		w.pool.put(c)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%s took longer than %v: %w", phase, w.pool.timeout, err)
	}
	return exited, err
}

// serve answers PDK calls until the plugin ends the event with an empty frame
// or by exit.
func (c *pluginConn) serve(x *exchange) (exited bool, err error) {
	for {
		name, err := c.frame()
		if err != nil {
			return false, err
		}
		if len(name) == 0 {
			return false, nil
		}
		args, err := c.frame()
		if err != nil {
			return false, err
		}
		c.traffic.count(func(t *Traffic) { t.Questions[x.phase+" "+string(name)]++ })
		reply, err := x.call(string(name), args)
		switch {
		case err != nil:
			return false, err
		case string(name) == exitMethod:
			return true, nil
		}
		if err := c.send(reply); err != nil {
			return false, err
		}
	}
}

// call runs one PDK method for the plugin.
func (x *exchange) call(name string, args []byte) (proto.Message, error) {
	m, ok := methods[name]
	if !ok {
		return nil, fmt.Errorf("unknown PDK method %q", name)
	}
	if !m.allows(x.phase) {
		return nil, fmt.Errorf("function cannot be called in %s phase: %s", x.phase, name)
	}
	reply, err := m.run(x, args)
	if err != nil {
		return nil, fmt.Errorf("PDK method %s: %v", name, err) // %v: none of these is a closed connection
	}
	return reply, nil
}
