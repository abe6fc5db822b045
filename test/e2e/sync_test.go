package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/redistest"
)

// background runs a command of the binary until the test ends, and returns when
// its health endpoint at address answers 200.
func (w *world) background(address string, args ...string) {
	w.Helper()
	cmd := exec.Command(binary, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "KINDE_CLIENT_ID=sync", "KINDE_CLIENT_SECRET="+secret)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			w.Errorf("%v ended with %v:\n%s", args, err, output.String())
		}
		if strings.Contains(output.String(), secret) {
			w.Error("the client's secret is in the output of the command")
		}
	})
	w.eventually(func() error {
		resp, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("health: status %d", resp.StatusCode)
		}
		return nil
	})
}

// TestFromTheTenantToTheToken: the tenant's records and a suspension that its
// webhook reports reach the tokens at once, although records stay cached for an
// hour.
func TestFromTheTenantToTheToken(t *testing.T) {
	w := build(t, func(c map[string]any) { c["cache"] = map[string]any{"ttl": 3600, "invalidation": true} })
	tenant, err := idptest.StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	tenant.Add("sync", secret)
	tenant.SetApplication(idptest.Application{ID: client, Name: "Billing", Type: "m2m", Properties: map[string]any{"org_code": org}})
	organization := idptest.Organization{Code: org, Name: "Acme of the tenant"}
	tenant.SetOrganization(organization)
	w.start()
	w.enriched(w.ask(form()))

	config := w.keyFile + ".yml"
	if err := os.WriteFile(config, w.config(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.redis.Client().Do(context.Background(), append([]any{"ACL", "SETUSER"}, words(redistest.ACL(t, redistest.Writer))...)...).Err(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("M2M_REDIS_USERNAME", redistest.Writer)
	t.Setenv("M2M_REDIS_PASSWORD", redistest.WriterPassword)
	health, hook := loopback(t), loopback(t)
	w.background(health, "sync", "kinde", "-c", config, "--tenant", tenant.URL(), "--every", "1h", "--health", health)
	w.background(hook, "sync", "webhook", "-c", config, "--tenant", tenant.URL(), "--listen", hook)

	w.eventually(func() error {
		if name := w.enriched(w.ask(form()))["org_name"]; name != organization.Name {
			return fmt.Errorf("org_name is %v", name)
		}
		return nil
	})

	organization.IsSuspended = true
	tenant.SetOrganization(organization)
	resp, err := http.Post("http://"+hook+"/kinde/webhook", "application/jwt",
		strings.NewReader(tenant.Webhook("organization.updated", map[string]any{"organization": map[string]any{"code": org}})))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("the webhook: got status %d, want 204", resp.StatusCode)
	}
	w.eventually(func() error {
		if a := w.ask(form()); a.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("suspended, but status %d", a.StatusCode)
		}
		return nil
	})
	w.refused(w.ask(form()), 400, "unauthorized_client", "suspended_organization")

	forged, err := http.Post("http://"+hook+"/kinde/webhook", "application/jwt", strings.NewReader("e30.e30.e30"))
	if err != nil {
		t.Fatal(err)
	}
	defer forged.Body.Close()
	if forged.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged event: got status %d, want 401", forged.StatusCode)
	}
}

func loopback(t *testing.T) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
}

func words(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}
