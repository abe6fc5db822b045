package bundle

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInstalledLibrary: the library that npm installs is bundled, with both of
// its other names for the claims, and needs no change of the file.
func TestInstalledLibrary(t *testing.T) {
	dir := repositoryWith(t, "-- package.json --\n{}\n-- w.ts --\n"+
		"import { createKindeAPI, m2mTokenClaims, m2mTokenCustomClaims, m2mCustomClaims, version, type WorkflowSettings } from '@kinde/infrastructure'\n"+
		"export const workflowSettings: WorkflowSettings = { id: 'a', trigger: 'm2m:token_generation', bindings: {} } as any\n"+
		"export default async (event: any) => version && createKindeAPI && m2mTokenClaims == m2mTokenCustomClaims && m2mTokenClaims == m2mCustomClaims && 'ok'\n")
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is missing")
	}
	install := exec.Command(npm, "install", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000", "@kinde/infrastructure@0.9.0")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm can't install @kinde/infrastructure: %v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules/@kinde/infrastructure")); err != nil {
		t.Fatal(err)
	}
	b, err := Build(filepath.Join(dir, "w.ts"))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, b); got != "ok" {
		t.Errorf("got %v, want ok", got)
	}
	if err := b.Check([]string{"kinde.m2mToken", "kinde.fetch", "kinde.env"}, checkClaim); err != nil {
		t.Errorf("Check = %v, want none", err)
	}
}
