package plugin

import "m2m-token-enricher/plugin/pdk"

// nginx' variables that some events need beside the rest.
const (
	traceparentVariable = "http_traceparent"
	addressVariable     = "remote_addr" // of the client or, behind a trusted proxy, what that says
)

// questions are what the events of an instance ask Kong first, in one round trip each.
type questions struct {
	access   pdk.RequestQuestions
	response pdk.ExchangeQuestions
}

// newQuestions prepares questions. They ask for the traceparent header if events are
// traced, and for the client's IP if withIP.
func newQuestions(traced, withIP bool) questions {
	var variables []string
	if traced {
		variables = append(variables, traceparentVariable)
	}
	if withIP {
		variables = append(variables, addressVariable)
	}
	return questions{access: pdk.PrepareRequest(false), response: pdk.PrepareExchange(variables...)}
}
