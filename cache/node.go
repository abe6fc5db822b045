package cache

import "sync"

// node is a server that questions go to. What one of a cluster doesn't answer
// keeps none from the others: each has its own places and its own pause.
type node struct {
	slots chan struct{} // one for each question that may be under way
	pause pause
}

// maxNodes is how many nodes are known: more than a cluster should have.
const maxNodes = 1000

// nodes are those that were asked, by address. Safe for concurrent use.
type nodes struct {
	places int // of each

	mu    sync.Mutex
	known map[string]*node
}

func newNodes(places int) *nodes { return &nodes{places: places, known: map[string]*node{}} }

// at returns the node at addr; "" is the one that isn't known.
func (ns *nodes) at(addr string) *node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.known[addr]
	if n == nil {
		if len(ns.known) >= maxNodes { // addresses come and go
			clear(ns.known)
		}
		n = &node{slots: make(chan struct{}, ns.places), pause: pause{most: max(1, min(maxFailing, ns.places/4))}}
		ns.known[addr] = n
	}
	return n
}
