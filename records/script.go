package records

import (
	"context"
	_ "embed" // the script
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"m2m-token-enricher/cache/connect"
	"m2m-token-enricher/schema"
)

//go:embed write.lua
var writeText string

var writeScript = redis.NewScript(writeText)

// noteScript notes that the records are written now to which the notes belong
// that KEYS names. ARGV has the seconds that a note lives.
var noteScript = redis.NewScript(`
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], now, 'EX', ARGV[1])
end
return #KEYS
`)

// noteLifetime is how long Redis keeps the time of a write, and so the age from
// which an observation can't be compared with writes and changes nothing.
const noteLifetime = 24 * time.Hour

const noteSeconds = int(noteLifetime / time.Second)

// scriptBatch is how many records one call of the script writes. Each call
// blocks the server: for well under a millisecond with so many.
const scriptBatch = 50

// verb is what the script does to records.
type verb string

const (
	verbPut    verb = "put"    // make it exactly what set says
	verbAmend  verb = "amend"  // set and unset, and leave all else
	verbRenew  verb = "renew"  // set, if it exists and nobody wrote it since
	verbDelete verb = "delete" // also what isn't there: its note stays
	verbNote   verb = "note"   // leave it as it is
)

// order is what one record gets.
type order struct {
	id         string
	set, unset []string // set: names and values in turn
}

// answer is what became of one record. found is what it was before, if the
// write was conditional.
type answer struct {
	status string
	found  schema.Record
}

// What the script says of a record.
const (
	statusOK        = "OK"
	statusAbsent    = "ABSENT" // it was not there
	statusOvertaken = "OVERTAKEN"
	statusWrongType = "WRONGTYPE"
)

// call is one call of the script.
type call struct {
	orders []order
	keys   []string
	args   []any
	reply  *redis.Cmd
}

// execute does verb to the records of orders and returns what became of each,
// in their order. After an error, the answers are those before it. since is
// zero for a write that isn't conditional.
func (s *Store) execute(ctx context.Context, verb verb, since Moment, kind schema.Kind, orders []order) ([]answer, error) {
	calls, err := s.calls(verb, since, kind, orders)
	if err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	for _, c := range calls {
		c.reply = writeScript.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	exec(ctx, pipe)
	s.load(ctx, calls)
	answers := make([]answer, 0, len(orders))
	for _, c := range calls {
		part, err := c.answers()
		if err != nil {
			return answers, connect.RecordError(kind.Key(s.prefix, c.orders[0].id), withoutRight(err))
		}
		answers = append(answers, part...)
	}
	return answers, nil
}

// load repeats with the script's text the calls that a server refused because
// it doesn't know the script yet.
func (s *Store) load(ctx context.Context, calls []*call) {
	pipe := s.client.Pipeline()
	for _, c := range calls {
		if redis.HasErrorPrefix(c.reply.Err(), "NOSCRIPT") {
			c.reply = writeScript.Eval(ctx, pipe, c.keys, c.args...)
		}
	}
	if pipe.Len() > 0 {
		exec(ctx, pipe)
	}
}

func (s *Store) calls(verb verb, since Moment, kind schema.Kind, orders []order) ([]*call, error) {
	size := scriptBatch
	if s.isCluster() {
		size = 1 // the keys of a call must be in one slot
	}
	var calls []*call
	for len(orders) > 0 {
		n := min(size, len(orders))
		c := &call{orders: orders[:n], args: []any{string(verb), int64(since), noteSeconds}}
		for _, o := range c.orders {
			key := kind.Key(s.prefix, o.id)
			note, err := s.noteKey(key)
			if err != nil {
				return nil, err
			}
			c.keys = append(c.keys, key, note)
			c.args = appendWords(appendWords(c.args, o.set), o.unset)
		}
		calls, orders = append(calls, c), orders[n:]
	}
	return calls, nil
}

// withoutRight says what the server's words for a command within a script mean.
func withoutRight(err error) error {
	if strings.Contains(err.Error(), "can't run this command") {
		return fmt.Errorf("NOPERM, a right of the writer in docs/redis.md is missing: %w", err)
	}
	return err
}

func appendWords(args []any, words []string) []any {
	args = append(args, len(words))
	for _, word := range words {
		args = append(args, word)
	}
	return args
}

func (c *call) answers() ([]answer, error) {
	list, err := c.reply.Slice()
	if err != nil {
		return nil, err
	}
	if len(list) != len(c.orders) {
		return nil, fmt.Errorf("the script answered for %d records, not %d", len(list), len(c.orders))
	}
	answers := make([]answer, len(list))
	for i, given := range list {
		words, ok := given.([]any)
		if !ok || len(words)%2 != 1 {
			return nil, fmt.Errorf("the script's answer %d is not of its form", i)
		}
		answers[i] = answer{status: fmt.Sprint(words[0]), found: schema.Record{}}
		for j := 1; j < len(words); j += 2 {
			answers[i].found[fmt.Sprint(words[j])] = fmt.Sprint(words[j+1])
		}
	}
	return answers, nil
}

func (s *Store) isCluster() bool {
	_, ok := s.client.(*redis.ClusterClient)
	return ok
}
