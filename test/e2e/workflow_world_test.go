package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/test/stage"
)

// repository returns a copy of a repository that Kong's user can read.
func repository(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(openDir(t), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/workflows", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// library installs Kinde's library once for all tests.
var library = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(binary), "library-")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "@kinde/infrastructure@0.9.0")
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("npm install @kinde/infrastructure: %w: %s", err, out)
	}
	return filepath.Join(dir, "node_modules"), err
})

func addLibrary(t *testing.T, dir string) {
	t.Helper()
	modules, err := library()
	if err != nil {
		t.Skipf("%s can't run: %v", t.Name(), err)
	}
	if err := os.CopyFS(filepath.Join(dir, "node_modules"), os.DirFS(modules)); err != nil {
		t.Fatal(err)
	}
}

// file writes a workflow of this body and returns its path. settings may add to its settings.
func file(t *testing.T, settings, body string) string {
	t.Helper()
	path := filepath.Join(openDir(t), "testWorkflow.js")
	write(t, path, settings, body)
	return path
}

func write(t *testing.T, path, settings, body string) {
	t.Helper()
	text := fmt.Sprintf(`import { createKindeAPI, m2mTokenClaims, fetch } from "@kinde/infrastructure";
export const workflowSettings = {
  id: "test", trigger: "m2m:token_generation", %s
  bindings: {"kinde.m2mToken": {}, "kinde.fetch": {}, "kinde.env": {}, url: {}},
};
export default async function (event) {
  const id = event.context.application.clientId, claims = m2mTokenClaims();
  %s
}
`, settings, body)
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o644), os.Chmod(path+".new", 0o644), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// with returns an edit that runs the workflow at path instead of the claims, and edits beside it.
func with(path string, edits ...func(map[string]any)) func(map[string]any) {
	return func(c map[string]any) {
		delete(c, "claims")
		c["workflow"] = map[string]any{"path": path}
		for _, edit := range edits {
			edit(c)
		}
	}
}

func set(name string, value any) func(map[string]any) {
	return func(c map[string]any) { c[name] = value }
}

// raw fails the test unless a carries the provider's own token.
func (w *world) raw(a answer) {
	w.Helper()
	if _, err := stage.Verify(context.Background(), w.provider.JWKSURI(), stage.Issuer, a.token()); err != nil {
		w.Errorf("got %d %s, want the provider's token: %v", a.StatusCode, a.body, err)
	}
}

// logs fails the test unless the gateway's log has all of text in the end.
func (w *world) logs(text ...string) {
	w.Helper()
	for _, part := range text {
		w.eventually(func() error {
			if !strings.Contains(w.gateway.Log(), part) {
				return fmt.Errorf("%w: the log doesn't have %q", errNotYet, part)
			}
			return nil
		})
	}
}
