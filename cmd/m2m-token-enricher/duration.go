package main

import (
	"errors"
	"regexp"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/visible"
)

// durationFlag is a flag such as --every 90d.
type durationFlag = cli.FlagBase[time.Duration, cli.NoConfig, durationValue]

// durationValue implements [cli.ValueCreator] and [cli.Value].
type durationValue struct{ at *time.Duration }

func (durationValue) Create(value time.Duration, at *time.Duration, _ cli.NoConfig) cli.Value {
	*at = value
	return durationValue{at}
}

func (durationValue) ToString(value time.Duration) string { return visible.Duration(value) }
func (v durationValue) String() string                    { return visible.Duration(*v.at) }
func (v durationValue) Get() any                          { return *v.at }

func (v durationValue) Set(text string) (err error) {
	*v.at, err = parseDuration(text)
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
