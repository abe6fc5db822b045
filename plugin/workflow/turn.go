//go:build !noworkflow

package workflow

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// slots bounds how many scripts compute at once in the process. Others wait for
// their turn within their deadlines.
var slots = make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0)))

// When a script that still computes is looked at.
const (
	firstLook = 10 * time.Millisecond // most scripts have ended by then
	nextLook  = 5 * time.Millisecond
)

var (
	errComputing = fmt.Errorf("it computed for %v, the limit; look for a loop or a regular expression that doesn't end", maxComputing)
	errNoSlot    = errors.New("other workflows computed until the deadline")
	errDeadline  = errors.New("it was interrupted at the deadline (config.timeout)")
)

// turn is the time in which one script may compute. While it waits for an answer,
// its slot is another script's.
type turn struct {
	ctx       context.Context
	interrupt func(cause error) // stops the script from any goroutine
	memory    meter

	mu        sync.Mutex
	computing bool
	began     time.Time     // of what is computed now
	computed  time.Duration // before
	cause     error         // why the script was interrupted, nil if it wasn't
	look      *time.Timer
	forget    func() bool
}

// newTurn returns the turn of the script in vm.
func newTurn(ctx context.Context, vm *goja.Runtime) *turn {
	return &turn{ctx: ctx, interrupt: func(cause error) { vm.Interrupt(cause) }}
}

// begin waits for a slot.
func (t *turn) begin() error {
	select {
	case slots <- struct{}{}:
	default:
		select {
		case slots <- struct{}{}:
		case <-t.ctx.Done():
			t.stop(errNoSlot)
			return errNoSlot
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.computing, t.began = true, time.Now()
	if t.look == nil {
		t.look = time.AfterFunc(firstLook, t.check)
		t.forget = context.AfterFunc(t.ctx, func() { t.stop(errDeadline) })
	} else {
		t.look.Reset(firstLook)
	}
	return nil
}

// end returns the slot.
func (t *turn) end() {
	t.mu.Lock()
	was := t.computing
	if was {
		t.computing = false
		t.computed += time.Since(t.began)
		t.look.Stop()
		t.memory.forget()
	}
	t.mu.Unlock()
	if was {
		<-slots
	}
}

// close ends the turn for good.
func (t *turn) close() {
	t.end()
	if t.forget != nil {
		t.forget()
	}
}

// wait runs f, which waits for something outside, without the slot.
func (t *turn) wait(f func()) error {
	t.end()
	f()
	return t.begin()
}

// stop interrupts the script. The first cause counts.
func (t *turn) stop(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopLocked(cause)
}

func (t *turn) stopLocked(cause error) {
	if t.cause == nil {
		t.cause = cause
		t.interrupt(cause)
	}
}

// stopped returns why the script was interrupted, nil if it wasn't.
func (t *turn) stopped() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
}

// check looks at a script that has computed for a while.
func (t *turn) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.computing {
		return
	}
	t.look.Reset(nextLook)
	spent := t.computed + time.Since(t.began)
	if spent > maxComputing {
		t.stopLocked(errComputing)
	} else if t.memory.grown(spent) {
		t.stopLocked(errMemory)
	}
}
