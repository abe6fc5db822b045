package reuse

import "m2m-token-enricher/schema"

// stamp is what the purge marks of a client were.
type stamp struct{ all, client string }

func stampOf(marks map[string]string, clientID string) stamp {
	return stamp{marks[schema.PurgedAll], marks[schema.PurgedClient(clientID)]}
}
