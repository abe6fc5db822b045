package reconcile

import (
	"fmt"
	"strconv"
	"strings"
)

// Limit is how many records of one kind a run may delete: a number, or a share
// of those in Redis. The zero value allows none.
type Limit struct {
	count   int
	percent float64
}

// Unlimited allows any number.
var Unlimited = Limit{percent: 100}

// ParseLimit reads "20" or "10%".
func ParseLimit(text string) (Limit, error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return Limit{}, fmt.Errorf("%q is not a share from 0%% to 100%%", text)
		}
		return Limit{percent: percent}, nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 {
		return Limit{}, fmt.Errorf("%q is neither a number nor a share such as 10%%", text)
	}
	return Limit{count: count}, nil
}

func (l Limit) String() string {
	if l.percent > 0 {
		return strconv.FormatFloat(l.percent, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(l.count)
}

// rounding makes up for inexact products: 0.57 % of 10,000 is 56.99999999999999.
const rounding = 1e-6

func (l Limit) allows(n, of int) bool {
	return n == 0 || n <= l.count || float64(n) <= l.percent*float64(of)/100+rounding
}
