// Package audit writes a line for each issued token to a file that it rotates. No
// token waits for the file: what it can't take is counted.
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
	batchTime  = 100 * time.Millisecond // that a line waits for others, because a write costs more than the rest
	closeTime  = 5 * time.Second        // that Close waits
)

// Entry is a token that was handed out.
type Entry struct {
	Time         time.Time `json:"time"`
	TokenID      string    `json:"jti,omitempty"`
	Issuer       string    `json:"issuer"` // the provider
	Client       string    `json:"client"`
	Organization string    `json:"organization,omitempty"`
	Claims       []string  `json:"claims"` // names of those that were added
	KeyID        string    `json:"kid"`
	Reused       bool      `json:"reused,omitempty"` // a line before, perhaps of another gateway, has the same token
}

// gap is the line in place of those that are missing.
type gap struct {
	Time   time.Time `json:"time"`
	Missed uint64    `json:"missed"`
}

// Log is an audit log. Safe for concurrent use. A nil *Log does nothing.
type Log struct {
	file    *file
	queue   chan Entry
	closing chan struct{}
	done    chan struct{} // closed when nothing is written any more

	missed atomic.Uint64 // entries that aren't in the file

	mu       sync.Mutex
	failure  error  // of the last write
	reported uint64 // what missed was at the last Warning
}

// Open returns a log in the file at path. Before that file would have more than
// maxSize bytes, it is moved to path.1 in place of the previous one. The log
// retries a file that can't be written; see [Log.Warning].
func Open(path string, maxSize int64) *Log {
	l := newLog(&file{path: path, maxSize: maxSize}, maxWaiting)
	go l.run()
	return l
}

func newLog(f *file, waiting int) *Log {
	return &Log{file: f, queue: make(chan Entry, waiting), closing: make(chan struct{}), done: make(chan struct{})}
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

// Close writes what waits, for five seconds at most, and closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	close(l.closing)
	select {
	case <-l.done:
		return l.file.close()
	case <-time.After(closeTime):
		return fmt.Errorf("%s: the last lines couldn't be written within %v", l.file.path, closeTime)
	}
}

// run writes entries as they come, those of a short while together.
func (l *Log) run() {
	defer close(l.done)
	l.setFailure(l.file.ready()) // warns before the first token
	b := batch{log: l}
	var due <-chan time.Time // nil while no line waits
	for {
		select {
		case e := <-l.queue:
			b.add(e)
			if due == nil {
				due = time.After(batchTime)
			}
		case <-due:
			b.write()
			due = nil
		case <-l.closing:
			for len(l.queue) > 0 {
				b.add(<-l.queue)
			}
			b.write()
			return
		}
	}
}

func (l *Log) setFailure(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
}

// batch has the lines that are written next.
type batch struct {
	log     *Log
	lines   []byte
	entries int    // in lines
	covered uint64 // missing entries that a line of the file stands for
}

func (b *batch) add(e Entry) {
	line, err := json.Marshal(e)
	if err != nil { // texts and a time always marshal
		b.log.missed.Add(1)
		return
	}
	b.lines = append(append(b.lines, visible.JSON(line)...), '\n')
	b.entries++
	if len(b.lines) >= maxBatch {
		b.write()
	}
}

// write writes the lines, behind one that says how many are missing.
func (b *batch) write() {
	missed := b.log.missed.Load()
	lines, gaps := b.lines, 0
	if missed > b.covered {
		line, _ := json.Marshal(gap{time.Now().UTC(), missed - b.covered}) // a time and a number always marshal
		lines, gaps = append(append(line, '\n'), lines...), 1
	}
	if len(lines) == 0 {
		return
	}
	written, err := b.log.file.write(lines)
	b.log.missed.Add(uint64(b.entries - max(0, written-gaps)))
	if written > 0 {
		b.covered = missed
	}
	b.log.setFailure(err)
	b.lines, b.entries = b.lines[:0], 0
}
