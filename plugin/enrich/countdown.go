package enrich

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"m2m-token-enricher/plugin/splice"
)

// countdown is a member of an answer that says how many seconds something lives,
// such as expires_in or ext_expires_in.
type countdown struct {
	start, end int // of its value in the body
	seconds    int64
	quoted     bool // the value is a string
	token      bool // it is about the access token
}

// countdownsIn returns a function that returns the countdowns in body. It reads body
// once.
func countdownsIn(body []byte) func() ([]countdown, error) {
	return sync.OnceValues(func() ([]countdown, error) {
		o, err := splice.Parse(body)
		if err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		return countdownsOf(o.Members())
	})
}

// countdownsOf returns those of members that count down, in their order. Their
// names end in expires_in, in any spelling. One that isn't a positive number counts
// nothing, but that of the access token must.
func countdownsOf(members []splice.Member) (all []countdown, err error) {
	for _, m := range members {
		name := letters(m.Name)
		if !strings.HasSuffix(name, expiresIn) || blank(m.Value) {
			continue
		}
		c := countdown{start: m.Offset(), end: m.Offset() + len(m.Value), token: name == expiresIn}
		if c.seconds, c.quoted = secondsOf(m.Value); c.seconds > 0 {
			all = append(all, c)
		} else if c.token {
			return nil, errors.New("the answer's expires_in isn't a positive number")
		}
	}
	return all, nil
}

var expiresIn = letters("expires_in")

// secondsOf returns the whole seconds of a number or a string with one, otherwise 0.
func secondsOf(value jsontext.Value) (seconds int64, quoted bool) {
	text, quoted := splice.Text(value)
	if !quoted {
		text = string(value)
	}
	number := jsontext.Value(text)
	if number.Kind() != '0' || !number.IsValid() {
		return 0, quoted
	}
	n, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)       // infinite if it is too large
	return int64(math.Max(0, math.Min(n, math.MaxInt32))), quoted // 68 years are for ever
}

// earlier returns when the access token's life ends if the answer was given at
// signed: at expires, or earlier if the countdown ends before.
func (c countdown) earlier(signed, expires time.Time) time.Time {
	if end := signed.Add(time.Duration(c.seconds) * time.Second); c.token && end.Before(expires) {
		return end.Truncate(time.Second)
	}
	return expires
}

// left appends the value that the countdown has reached after age. The access token
// lives for at most life.
func (c countdown) left(text []byte, age, life int64) []byte {
	n := max(0, c.seconds-age)
	if c.token {
		n = min(n, life)
	}
	if !c.quoted {
		return strconv.AppendInt(text, n, 10)
	}
	text = append(text, '"')
	return append(strconv.AppendInt(text, n, 10), '"')
}

// bodyAt returns the answer's body as it is given again at now, with every
// countdown lowered by the answer's age.
func (h *Held) bodyAt(now time.Time) ([]byte, error) {
	countdowns, err := h.countdowns()
	if err != nil {
		return nil, err
	}
	age := int64(math.Ceil(max(0, now.Sub(h.Signed)).Seconds()))
	life := int64(h.Expires.Sub(now) / time.Second)
	body := make([]byte, 0, len(h.Body))
	done := 0
	for _, c := range countdowns {
		body = append(body, h.Body[done:c.start]...)
		body = c.left(body, age, life)
		done = c.end
	}
	return append(body, h.Body[done:]...), nil
}
