package plugin

import (
	"encoding/json"
	"time"
)

// succession is which instance each of Kong's plugins has now, by the plugin's
// id. A reload gives a plugin another one; Kong doesn't say that it no longer
// needs the one before.
type succession map[string]place

// place is an instance and Kong's number of the delivery that brought it.
type place struct {
	of       *instance
	sequence int64
}

// delivery is what Kong puts beside a configuration of where it is from.
type delivery struct {
	Plugin   string `json:"__plugin_id"`
	Sequence int64  `json:"__seq__"` // grows with each rebuild, and differs per worker
}

func readDelivery(config []byte) (d delivery) {
	_ = json.Unmarshal(config, &d) // what can't be read succeeds nothing
	return d
}

// put makes i the instance of a plugin at now, until when the one before counts
// as used. A worker that still has requests of an older configuration starts
// that one again, which is over from its start.
func (s succession) put(d delivery, i *instance, now time.Time) {
	if d.Plugin == "" {
		return
	}
	i.placed = true
	before := s[d.Plugin]
	if d.Sequence < before.sequence {
		return
	}
	if before.of != nil {
		before.of.used = now
	}
	s[d.Plugin] = place{i, d.Sequence}
}

// over tells whether every plugin that had i has another one by now.
func (s succession) over(i *instance) bool {
	for _, p := range s {
		if p.of == i {
			return false
		}
	}
	return i.placed
}

// remove forgets the plugins that have i.
func (s succession) remove(i *instance) {
	for id, p := range s {
		if p.of == i {
			delete(s, id)
		}
	}
}
