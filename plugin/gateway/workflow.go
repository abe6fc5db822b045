package gateway

import (
	"errors"
	"strings"

	"m2m-token-enricher/plugin/workflow"
	"m2m-token-enricher/schema"
)

// openWorkflow builds the workflow of cfg, nil if there is none. The error joins every
// error in its file.
func openWorkflow(cfg *schema.Config) (*workflow.Workflow, error) {
	if !cfg.HasWorkflow() {
		return nil, nil
	}
	env := map[string]string{}
	for name, value := range cfg.Workflow.Env {
		env[name] = string(value)
	}
	w, err := workflow.Open(workflow.Options{
		Path: cfg.Workflow.Path, Env: env, AllowHosts: cfg.Workflow.AllowHosts,
		Domain: strings.TrimSuffix(cfg.Issuer, "/"), CheckClaim: cfg.CheckClaim,
	})
	if err == nil {
		return w, nil
	}
	var errs []error
	for _, one := range schema.Split(err) {
		errs = append(errs, &schema.FieldError{Path: "config.workflow.path", Problem: one.Error()})
	}
	return nil, errors.Join(errs...)
}

// Workflow describes the workflow. It isn't ok if there is none.
func (g *Gateway) Workflow() (info workflow.Info, ok bool) {
	if g.workflow == nil {
		return info, false
	}
	return g.workflow.Info(), true
}
