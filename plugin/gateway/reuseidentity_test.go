//go:build !noworkflow

package gateway

import (
	"os"
	"testing"

	"m2m-token-enricher/schema"
)

// TestReuseIdentity: the same configuration and workflow have the same identity, and a
// change of either gives another one, also where the configuration only names the file.
func TestReuseIdentity(t *testing.T) {
	cfg := reusing(t, "")
	identity := func(change func(*schema.Config)) [32]byte {
		t.Helper()
		changed := *cfg
		if change != nil {
			change(&changed)
		}
		return open(t, &changed, Options{Scoped: true}).reuseIdentity()
	}
	without := identity(nil)
	if without != identity(nil) {
		t.Error("the identities of one configuration differ")
	}
	if without == identity(func(c *schema.Config) { c.Identity[0]++ }) {
		t.Error("another configuration has the same identity")
	}
	file := workflowFile(t, `	kinde.m2mToken.setCustomClaim("plan", "gold");`)
	named := func(c *schema.Config) { c.Workflow.Path = file }
	gold := identity(named)
	if gold != identity(named) || gold == without {
		t.Error("the identity isn't that of the workflow")
	}
	text, err := os.ReadFile(workflowFile(t, `	kinde.m2mToken.setCustomClaim("plan", "silver");`))
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if identity(named) == gold {
		t.Error("a changed file has the same identity")
	}
}
