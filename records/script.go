package records

import (
	"context"
	_ "embed" // the script
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

//go:embed write.lua
var scriptText string

var script = redis.NewScript(scriptText)

// timestampLifetime is how long Redis keeps the time of a write. An answer of a
// source that is older can't be compared with it, and changes nothing.
const timestampLifetime = 24 * time.Hour

// scriptBatch is how many records one call of the script writes to one server. With
// so many it blocks the server for well under a millisecond.
const scriptBatch = 50

// operation is what the script does to records.
type operation string

const (
	opPut    operation = "put"    // make the record exactly what set says
	opAmend  operation = "amend"  // set and unset, and leave other properties
	opUpdate operation = "update" // set, if the record exists
	opDelete operation = "delete"
)

// write is what to do to one record.
type write struct {
	id    string
	set   schema.Record
	unset []string
}

// reply is what the script did to one record. previous is what a conditional put
// replaced.
type reply struct {
	status   string
	previous schema.Record
}

// What the script answers about a record. ABSENT is another one: it didn't exist.
const (
	statusOK        = "OK"
	statusConflict  = "CONFLICT"
	statusWrongType = "WRONGTYPE"
)

// call is one call of the script.
type call struct {
	keys   []string
	args   []any
	answer *redis.Cmd
}

// execute writes records and returns the replies in the order of writes. After
// an error, the replies are those before it. since is zero for a write that isn't
// conditional.
func (s *Store) execute(ctx context.Context, op operation, since Timestamp, kind schema.Kind, writes []write) ([]reply, error) {
	calls, err := s.calls(op, since, kind, writes, s.batch(ctx))
	if err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	for _, c := range calls {
		c.answer = script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	exec(ctx, pipe)
	pipe = s.client.Pipeline()
	for _, c := range calls {
		if redis.HasErrorPrefix(c.answer.Err(), "NOSCRIPT") { // a new server: send the text
			c.answer = script.Eval(ctx, pipe, c.keys, c.args...)
		}
	}
	exec(ctx, pipe)
	replies := make([]reply, 0, len(writes))
	for _, c := range calls {
		part, err := c.replies()
		if err != nil {
			return replies, connect.RecordError(c.keys[0], withoutRight(err))
		}
		replies = append(replies, part...)
	}
	return replies, nil
}

// batch is how many records one call of the script may write. In a cluster, the
// keys of a call must be in one slot. A Redis proxy sends a call to the server of
// its first key, where lookups wouldn't find the other records.
func (s *Store) batch(ctx context.Context) int {
	if s.oneServer.Load() {
		return scriptBatch
	}
	if !s.isCluster() && s.saysStandalone(ctx) {
		s.oneServer.Store(true)
		return scriptBatch
	}
	return 1
}

// saysStandalone reports whether Redis itself answers, and as one server. The
// answer to HELLO is a list of names and values.
func (s *Store) saysStandalone(ctx context.Context) bool {
	answer, err := s.client.Do(ctx, "hello").Slice()
	if err != nil {
		return false
	}
	at := slices.Index(answer, any("mode"))
	return at >= 0 && at+1 < len(answer) && answer[at+1] == "standalone"
}

func (s *Store) calls(op operation, since Timestamp, kind schema.Kind, writes []write, size int) ([]*call, error) {
	var calls []*call
	for i, w := range writes {
		if i%size == 0 {
			calls = append(calls, &call{args: []any{string(op), int64(since), int(timestampLifetime / time.Second)}})
		}
		key := kind.Key(s.prefix, w.id)
		timestamp, err := s.timestampKey(key)
		if err != nil {
			return nil, err
		}
		c := calls[len(calls)-1]
		c.keys = append(c.keys, key, timestamp)
		c.add(w)
	}
	return calls, nil
}

func (c *call) add(w write) {
	c.args = append(c.args, 2*len(w.set))
	for name, value := range w.set {
		c.args = append(c.args, name, value)
	}
	c.args = append(c.args, len(w.unset))
	for _, name := range w.unset {
		c.args = append(c.args, name)
	}
}

// withoutRight explains the server's words for a command within a script.
func withoutRight(err error) error {
	if strings.Contains(err.Error(), "can't run this command") {
		return fmt.Errorf("NOPERM, the writer lacks a right that docs/redis.md gives: %w", err)
	}
	return err
}

func (c *call) replies() ([]reply, error) {
	list, err := c.answer.Slice()
	if err != nil {
		return nil, err
	}
	if len(list) != len(c.keys)/2 {
		return nil, fmt.Errorf("the script answered for %d records, not %d", len(list), len(c.keys)/2)
	}
	replies := make([]reply, len(list))
	for i, given := range list {
		words, ok := given.([]any)
		if !ok || len(words)%2 != 1 {
			return nil, fmt.Errorf("the script's answer %d is not of its form", i)
		}
		replies[i] = reply{status: fmt.Sprint(words[0]), previous: schema.Record{}}
		for j := 1; j < len(words); j += 2 {
			replies[i].previous[fmt.Sprint(words[j])] = fmt.Sprint(words[j+1])
		}
	}
	return replies, nil
}
