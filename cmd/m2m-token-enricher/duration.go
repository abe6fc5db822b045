package main

import (
	"errors"
	"regexp"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
)

// durationFlag returns a flag such as --every 90d.
func durationFlag(name string, at *time.Duration, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: (*durationValue)(at), Usage: usage}
}

// durationValue implements [cli.Value].
type durationValue time.Duration

func (v *durationValue) String() string { return visible.Duration(time.Duration(*v)) }
func (v *durationValue) Get() any       { return time.Duration(*v) }

func (v *durationValue) Set(text string) error {
	d, err := parseDuration(text)
	*v = durationValue(d)
	return err
}

// longUnits are the units that Go's durations lack.
var longUnits = regexp.MustCompile(`[\d.]+[wd]`)

// parseDuration reads a duration such as 2w, 90d, 1d12h or 5m.
func parseDuration(text string) (time.Duration, error) {
	inHours := longUnits.ReplaceAllStringFunc(text, func(part string) string {
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 32)
		if err != nil {
			return part // which is no duration
		}
		hours := map[byte]int64{'d': 24, 'w': 7 * 24}[part[len(part)-1]]
		return strconv.FormatInt(n*hours, 10) + "h"
	})
	d, err := time.ParseDuration(inHours)
	if err != nil {
		return 0, errors.New("write a duration such as 90d, 2w, 12h or 5m")
	}
	return d, nil
}
