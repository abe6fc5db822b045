// Package audit keeps a line of each token that was issued, in a file that is
// rotated. It never holds a token up: what the file can't take is counted.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"m2m-token-enricher/plugin/visible"
)

// Bounds of what waits for the file.
const (
	maxWaiting = 4096                   // entries
	maxBatch   = 64 << 10               // bytes that are written at once
	batchTime  = 100 * time.Millisecond // that a line waits for others: a write for each would cost more than all else of it
	closeTime  = 5 * time.Second        // that Close waits for
)

// Entry is a token that was issued.
type Entry struct {
	Time         time.Time `json:"time"`
	TokenID      string    `json:"jti,omitempty"`
	Issuer       string    `json:"issuer"` // the provider
	Client       string    `json:"client"`
	Organization string    `json:"organization,omitempty"`
	Claims       []string  `json:"claims"` // names of those that were added
	KeyID        string    `json:"kid"`
}

// gap is the line that stands for those that are missing.
type gap struct {
	Time   time.Time `json:"time"`
	Missed uint64    `json:"missed"`
}

// Log is an audit log. Safe for concurrent use. A nil *Log keeps nothing.
type Log struct {
	file  *file
	queue chan Entry
	end   chan struct{} // closed by Close
	ended chan struct{}

	missed atomic.Uint64 // entries that aren't in the file

	mu       sync.Mutex
	failure  error  // of the last write
	reported uint64 // what missed was at the last Warning
}

// Open begins a log in the file at path. Before the file would have more than
// maxSize bytes it becomes path.1, and so on; the oldest of more than keep goes.
// A file that can't be written is tried again at each line; [Log.Warning] tells.
func Open(path string, maxSize int64, keep int) *Log {
	l := &Log{
		file:  &file{path: path, maxSize: maxSize, keep: keep},
		queue: make(chan Entry, maxWaiting), end: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.run()
	return l
}

// Issued adds an entry. It doesn't wait.
func (l *Log) Issued(e Entry) {
	if l == nil {
		return
	}
	select {
	case l.queue <- e:
	default:
		l.missed.Add(1)
	}
}

// Missed returns how many entries aren't in the file.
func (l *Log) Missed() uint64 {
	if l == nil {
		return 0
	}
	return l.missed.Load()
}

// Warning returns why the file can't be written, or that tokens were lost since the
// last Warning; otherwise nil.
func (l *Log) Warning() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	missed := l.missed.Load()
	if missed == l.reported && l.failure == nil {
		return nil
	}
	cause := l.failure
	if cause == nil {
		cause = errors.New("it is slower than tokens are issued")
	}
	l.reported = missed
	return fmt.Errorf("%s: %d tokens are missing in it since the plugin started: %w", l.file.path, missed, cause)
}

// Close writes what waits, for five seconds at most, and ends the log.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	close(l.end)
	select {
	case <-l.ended:
		return l.file.close()
	case <-time.After(closeTime):
		return fmt.Errorf("%s: it doesn't take what waits", l.file.path)
	}
}

// run writes entries as they come, those of a short while together.
func (l *Log) run() {
	defer close(l.ended)
	l.fails(l.file.ready()) // told of before the first token
	w := writer{log: l}
	var due <-chan time.Time // nil while nothing waits to be written
	for {
		select {
		case e := <-l.queue:
			w.add(e)
			if due == nil {
				due = time.After(batchTime)
			}
		case <-due:
			w.flush()
			due = nil
		case <-l.end:
			w.drain()
			return
		}
	}
}

// fails keeps why the file doesn't take what it should, nil if it does.
func (l *Log) fails(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
}

// writer makes lines of entries.
type writer struct {
	log     *Log
	lines   []byte
	entries int    // in lines
	marked  uint64 // missing entries that the file has a line of
}

// drain writes all that waits.
func (w *writer) drain() {
	for {
		select {
		case e := <-w.log.queue:
			w.add(e)
		default:
			w.flush()
			return
		}
	}
}

func (w *writer) add(e Entry) {
	line, err := json.Marshal(e)
	if err != nil { // texts and a time always marshal
		w.log.missed.Add(1)
		return
	}
	w.lines = append(append(w.lines, visible.JSON(line)...), '\n')
	w.entries++
	if len(w.lines) >= maxBatch {
		w.flush()
	}
}

// flush writes the lines, and before them one that says how many are missing.
func (w *writer) flush() {
	missed := w.log.missed.Load()
	lines, gaps := w.lines, 0
	if missed > w.marked {
		line, _ := json.Marshal(gap{time.Now().UTC(), missed - w.marked}) // a time and a number always marshal
		lines, gaps = append(append(line, '\n'), lines...), 1
	}
	if len(lines) == 0 {
		return
	}
	written, err := w.log.file.write(lines)
	if written < gaps+w.entries {
		w.log.missed.Add(uint64(w.entries - max(0, written-gaps)))
	}
	if written > 0 {
		w.marked = missed
	}
	w.log.fails(err)
	w.lines, w.entries = w.lines[:0], 0
}
