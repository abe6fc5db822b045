package pdk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Bounds of a connection of Kong's.
const (
	// maxFrame is the number of bytes that one frame may have. Kong buffers
	// bodies of any size; what is larger ends the event.
	maxFrame = 64 << 20
	// eventTime is how long Kong waits for an event to end.
	eventTime = 60 * time.Second
	// keptBuffer is the number of bytes that a buffer keeps from one event to
	// the next.
	keptBuffer = 64 << 10
)

// wire is a connection of Kong's: frames of a little-endian 32-bit length and
// that many bytes. Calls wait until they are flushed together, and Kong answers
// them in order. Not for concurrent use.
//
// Nothing in a frame says which question it answers. So a frame that can't be
// read breaks the wire for good: the next bytes could be the reply to another
// question, or an upstream's body in which somebody wrote calls. A broken wire
// asks and reads nothing, but still writes what needs no reply.
type wire struct {
	conn    net.Conn
	in      *bufio.Reader
	out     []byte // frames that aren't sent yet
	read    []byte // frames of the present event, one after the other
	replies []bool // to the calls of the present event: whether somebody waits for each
	came    int    // how many of them have come
	broken  error  // why nothing more is read
}

// wires keeps the buffers of connections that have ended: every exit costs one.
var wires = sync.Pool{New: func() any { return &wire{in: bufio.NewReader(nil)} }}

// newWire returns the wire on conn. Release it when nothing that was read on it is
// needed any more.
func newWire(conn net.Conn) *wire {
	w := wires.Get().(*wire)
	w.conn = conn
	w.in.Reset(conn)
	return w
}

func (w *wire) release() {
	w.begin()
	w.conn, w.broken = nil, nil
	w.in.Reset(nil)
	wires.Put(w)
}

// begin drops the frames of the previous event.
func (w *wire) begin() {
	w.read, w.out, w.replies, w.came = w.read[:0], w.out[:0], w.replies[:0], 0
	if cap(w.read) > keptBuffer {
		w.read = nil
	}
	if cap(w.out) > keptBuffer {
		w.out = nil
	}
}

// fail breaks the wire because of err, unless it is broken already, and returns
// the reason.
func (w *wire) fail(err error) error {
	if w.broken == nil {
		w.broken = fmt.Errorf("nothing more is read on this connection: %w", err)
	}
	return w.broken
}

var errFrameTooLarge = errors.New("frame too large")

// frame reads a frame, which is valid until begin. It waits as long as the
// deadline of the connection allows. An error breaks the wire.
func (w *wire) frame() ([]byte, error) {
	if w.broken != nil {
		return nil, w.broken
	}
	head, err := w.in.Peek(4)
	if err != nil {
		return nil, w.fail(err)
	}
	size := binary.LittleEndian.Uint32(head)
	_, _ = w.in.Discard(4) // it was peeked
	if size > maxFrame {
		return nil, w.fail(fmt.Errorf("%w: %d bytes, of %d at most", errFrameTooLarge, size, maxFrame))
	}
	begin := len(w.read)
	if err := w.fill(int(size)); err != nil {
		return nil, w.fail(err)
	}
	return w.read[begin:len(w.read):len(w.read)], nil
}

// fill reads size bytes. Their memory is allocated as they come, because a head
// alone may promise 64 MiB.
func (w *wire) fill(size int) error {
	for filled := 0; filled < size; {
		n := min(size-filled, max(keptBuffer/4, filled))
		w.read = append(w.read, make([]byte, n)...)
		if _, err := io.ReadFull(w.in, w.read[len(w.read)-n:]); err != nil {
			return err
		}
		filled += n
	}
	return nil
}

// put adds a frame whose content write appends.
func (w *wire) put(write func(out []byte) []byte) {
	begin := len(w.out)
	w.out = write(append(w.out, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(w.out[begin:], uint32(len(w.out)-begin-4))
}

func (w *wire) putText(text string) {
	w.put(func(out []byte) []byte { return append(out, text...) })
}

// ask adds a call of the PDK whose reply is read later, in the calls' order. A
// broken wire asks nothing.
func (w *wire) ask(method string, args func(out []byte) []byte) {
	if w.broken == nil {
		w.call(method, args, true)
	}
}

// do adds a call of the PDK whose reply says nothing.
func (w *wire) do(method string, args func(out []byte) []byte) { w.call(method, args, false) }

func (w *wire) call(method string, args func(out []byte) []byte, waits bool) {
	w.putText(method)
	w.put(args)
	w.replies = append(w.replies, waits)
}

// pending is how many replies are to come.
func (w *wire) pending() int { return len(w.replies) - w.came }

// reply sends what waits and hands the next reply that somebody waits for to
// read. An error, also one of read's, breaks the wire: an unexpected reply may be
// another question's.
func (w *wire) reply(read func(message []byte) error) error {
	if err := w.flush(); err != nil {
		return err
	}
	for w.pending() > 0 && !w.replies[w.came] {
		if err := w.answer(wellFormed); err != nil {
			return err
		}
	}
	if w.pending() == 0 {
		return w.fail(errors.New("no call has a reply to come"))
	}
	return w.answer(read)
}

// answer hands the reply to the oldest call to read.
func (w *wire) answer(read func(message []byte) error) error {
	message, err := w.frame()
	if err != nil {
		return err
	}
	w.came++
	if err := read(message); err != nil {
		return w.fail(err)
	}
	return nil
}

// settle sends what waits and reads replies that nobody waits for, until only left
// are to come: none before Kong's next call, one if the last call is an exit, which has
// none. A broken wire does neither.
func (w *wire) settle(left int) error {
	if err := w.flush(); err != nil {
		return err
	}
	for w.pending() > left {
		if err := w.answer(wellFormed); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what waits, unless the wire is broken: Kong may then read only after
// it has sent everything, and a write could wait for ever.
func (w *wire) flush() error {
	if w.broken != nil {
		return w.broken
	}
	return w.write()
}

// write sends what waits. A frame that was sent in part can't be continued, so
// an error closes the connection.
func (w *wire) write() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		_ = w.conn.Close()
		return w.fail(err)
	}
	return nil
}

// hangUp ends the connection. If bytes were left unread, closing would reset it, and
// Kong could lose what was sent. Kong sends nothing more once it has replied to all
// calls before an exit, and a reply that nobody waits for is short. Otherwise hangUp
// discards what comes until Kong closes the connection, or the deadline. Kong may be
// sending a long reply before it reads, so both can run at once.
func (w *wire) hangUp() {
	defer w.conn.Close()
	if w.pending() > 0 && !slices.Contains(w.replies[w.came:], true) && w.settle(1) == nil {
		return
	}
	var sending sync.WaitGroup
	sending.Go(w.sendLast)
	_, _ = io.Copy(io.Discard, w.in)
	sending.Wait()
}

// sendLast sends what waits and closes this direction of the connection. Kong then
// knows not to use it again.
func (w *wire) sendLast() {
	if conn, ok := w.conn.(interface{ CloseWrite() error }); w.write() == nil && ok {
		_ = conn.CloseWrite()
	}
}
