package plugin

import (
	"encoding/json"
	"fmt"
)

// scope is the route or the service for which Kong delivers a configuration, none if it
// is for all. An answer is never given again on another route: that may lead to another
// provider, or change the request.
type scope struct {
	Route   string `json:"route_id"`
	Service string `json:"service_id"`
}

func scopeOf(config []byte) (s scope) {
	if err := json.Unmarshal(config, &s); err != nil {
		return scope{}
	}
	return s
}

func (s scope) none() bool { return s == scope{} }

func (s scope) String() string { return fmt.Sprintf("route %q service %q", s.Route, s.Service) }
