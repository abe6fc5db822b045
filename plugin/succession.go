package plugin

import "encoding/json"

// succession is which instance each of Kong's plugins has now, by the plugin's
// id. A reload gives a plugin another one; Kong doesn't say that it no longer
// needs the previous one.
type succession map[string]place

// place is the id of an instance and Kong's number of the delivery that brought
// it.
type place struct {
	id       int32
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

// put makes the instance called id that of a plugin, and returns the id of the
// previous one, 0 if there is none. A worker that still has requests of an older
// configuration starts that one again, which changes nothing.
func (s succession) put(d delivery, id int32) (previous int32) {
	before := s[d.Plugin]
	if d.Plugin == "" || d.Sequence < before.sequence {
		return 0
	}
	s[d.Plugin] = place{id, d.Sequence}
	return before.id
}

// has reports whether a plugin has the instance called id.
func (s succession) has(id int32) bool {
	for _, p := range s {
		if p.id == id {
			return true
		}
	}
	return false
}

// remove forgets the plugins that have the instance called id.
func (s succession) remove(id int32) {
	for plugin, p := range s {
		if p.id == id {
			delete(s, plugin)
		}
	}
}
