package schema

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
)

// Workflow is a file of code in the form that Kinde runs, which is read when the
// configuration starts. It never reads the environment of the process, only Env.
type Workflow struct {
	Path       string            `json:"path" required:"true" len_max:"4096" starts_with:"/" description:"The workflow's file, or a folder in which one file is a workflow for M2M tokens. Readable by the user that Kong runs as."`
	AllowHosts []string          `json:"allow_hosts" len_max:"100" description:"Hosts, each with or without a port, that the workflow may ask over https. The provider's own is answered from the records."`
	Env        map[string]Secret `json:"env" len_max:"16384" description:"What the workflow reads with kinde.env.get: names, and values that may be vault references."`
}

// HasWorkflow reports whether code computes claims.
func (c *Config) HasWorkflow() bool { return c.Workflow.Path != "" }

// maxEnv is how many names workflow.env may have.
const maxEnv = 100

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (c *Config) validateWorkflow(r *report) {
	if c.HasWorkflow() && c.Issuer != "" {
		if err := CheckTenant(c.Issuer); err != nil {
			r.addRule("config.issuer", "%v", err)
		}
	}
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

// CheckTenant returns an error unless a workflow can ask for its records at issuer.
func CheckTenant(issuer string) error {
	u, err := url.Parse(issuer)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		if _, _, err := HostPort(u.Host); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%.200q isn't an https or http URL, and a workflow asks for its records there; "+
		"let the provider write a URL as issuer, or use claims with expr instead of a workflow", issuer)
}
