package enrich

// Event is what every decision sees, in the shape that Kinde gives the code of
// its m2m:token_generation workflows. It marshals to JSON for logs and dry
// runs, and holds no secret.
type Event struct {
	Request EventRequest `json:"request"`
	Context EventContext `json:"context"`
}

// EventRequest is the request as the event shows it.
type EventRequest struct {
	Auth EventAuth `json:"auth"`
	IP   string    `json:"ip"`
}

// EventAuth is what was asked for. Audience also has what the token carries.
type EventAuth struct {
	Audience []string `json:"audience"`
	Scope    []string `json:"scope"`
}

// EventContext is where the request belongs.
type EventContext struct {
	Domains     EventDomains     `json:"domains"`
	Application EventApplication `json:"application"`
	Workflow    EventWorkflow    `json:"workflow"`
}

// EventDomains names the provider, in Kinde's own word.
type EventDomains struct {
	KindeDomain string `json:"kindeDomain"`
}

// EventApplication is the application, from the verified token only.
type EventApplication struct {
	ClientID string `json:"clientId"`
}

// EventWorkflow says what triggered the event.
type EventWorkflow struct {
	Trigger string `json:"trigger"`
}

const trigger = "m2m:token_generation"

func newEvent(issuer, clientID, ip string, audience, scope []string) Event {
	return Event{
		Request: EventRequest{Auth: EventAuth{Audience: distinct(audience), Scope: distinct(scope)}, IP: ip},
		Context: EventContext{
			Domains:     EventDomains{issuer},
			Application: EventApplication{clientID},
			Workflow:    EventWorkflow{trigger},
		},
	}
}

// distinct keeps the first of each, and an empty list rather than null.
func distinct(list []string) []string {
	kept := make([]string, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			kept = append(kept, s)
		}
	}
	return kept
}
