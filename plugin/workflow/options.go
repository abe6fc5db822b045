// Package workflow runs Kinde workflows: files that compute the claims of a
// machine-to-machine token in JavaScript or TypeScript.
//
// [Open] bundles and checks a file once. [Workflow.Run] evaluates it for one event
// in a virtual machine of its own, which nothing survives. The names that Kinde
// gives to a workflow hang below kinde, and answers come from the records of the
// event's application. Every event has limits: see limits.go and bounds.go.
package workflow

import "net/http"

// Options are what a workflow may use.
type Options struct {
	// Path is the workflow's file, or the folder of a repository that has one.
	Path string

	// Env answers kinde.env.get. Its values are never printed. The process's
	// environment is not read.
	Env map[string]string

	// AllowHosts are the hosts that kinde.fetch may ask over https, beside Domain,
	// which is answered from records.
	AllowHosts []string

	// Domain is Event.Domain of every event.
	Domain string

	// CheckClaim returns an error if a workflow may not set the claim called name.
	CheckClaim func(name string) error

	// Transport reaches AllowHosts. Nil means http.DefaultTransport.
	Transport http.RoundTripper
}

// Info describes an opened workflow.
type Info struct {
	File     string   // that was opened
	ID, Name string   // as the file says; Name may be empty
	Bindings []string // sorted
	Policy   string   // as Workflow.Policy returns it
	Size     int      // bytes of the bundle
}
