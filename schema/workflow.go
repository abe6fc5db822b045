package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Workflow is a file of code in the form that Kinde runs.
type Workflow struct {
	// Path is the file, or a folder in which one file is a workflow for M2M tokens. It
	// is read when the configuration starts.
	Path string `json:"path"`

	// AllowHosts are the hosts, each with or without a port, that the code may ask over
	// https. Empty means none. The issuer's own host is answered from the records.
	AllowHosts []string `json:"allow_hosts"`

	// Env is what the code reads with kinde.env.get. It never reads the environment of
	// the process.
	Env map[string]Secret `json:"env"`
}

// HasWorkflow reports whether code computes claims.
func (c *Config) HasWorkflow() bool { return c.Workflow.Path != "" }

func workflowField() Field {
	return Field{Name: "workflow", Type: "record",
		Description: "Code that computes further claims, in the form of a Kinde workflow for M2M tokens. Unset: none.",
		Fields: Fields{
			{Name: "path", Type: "string", Required: true, StartsWith: "/", LenMax: 4096,
				Description: "The workflow's file, or a folder in which one file is a workflow for M2M tokens. Readable by the user that Kong runs as."},
			{Name: "allow_hosts", Type: "array", Default: []any{}, LenMax: 100, Elements: &Field{Type: "string"},
				Description: "Hosts, each with or without a port, that the workflow may ask over https. The provider's own is answered from the records."},
			{Name: "env", Type: "map", Keys: &Field{Type: "string"},
				Values:      &Field{Type: "string", Referenceable: true, Encrypted: true, LenMax: 16384},
				Description: "What the workflow reads with kinde.env.get: names, and values that may be vault references."},
		}}
}

// maxEnv is how many names workflow.env may have.
const maxEnv = 100

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (c *Config) validateWorkflow(r *report) {
	for i, host := range c.Workflow.AllowHosts {
		if err := CheckAllowHost(c.Issuer, host); err != nil {
			r.addRule(fmt.Sprintf("config.workflow.allow_hosts[%d]", i), "%v", err)
		}
	}
	if n := len(c.Workflow.Env); n > maxEnv {
		r.addRule("config.workflow.env", "%d names, more than %d", n, maxEnv)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Workflow.Env)) {
		if !envName.MatchString(name) {
			r.addRule("config.workflow.env", "%.200q is not a name of 1 to 128 letters, digits and underscores that begins with no digit", name)
		}
	}
}
