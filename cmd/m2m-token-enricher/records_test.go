package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// TestExportIsImported: import reads all that export prints. Export names a record
// that no gateway looks up, and leaves it out.
func TestExportIsImported(t *testing.T) {
	server, ctx := redistest.Start(t), context.Background()
	where := []string{"--prefix", "p:", "--host", "127.0.0.1", "--port", strconv.Itoa(server.Port())}
	for _, id := range []string{"app_1", "My Billing Service", "~!\"\\", "ü", "app_2 ", "a\nb", strings.Repeat("x", 257)} {
		must(t, server.Client().HSet(ctx, "p:app:"+id, "org_code", "org_1").Err())
	}
	var exported, stderr strings.Builder
	if code := run(append([]string{"app", "export"}, where...), &exported, &stderr); code != 0 {
		t.Fatalf("export: exit code %d, want 0: %s", code, stderr.String())
	}
	for _, id := range []string{`"ü"`, `"app_2 "`, `"a\nb"`, `"xxx`} {
		if !strings.Contains(stderr.String(), id) {
			t.Errorf("export reports %q, want %s in it", stderr.String(), id)
		}
	}
	if n := strings.Count(stderr.String(), "\n"); n != 4 {
		t.Errorf("export reports %d lines, want 4: %q", n, stderr.String())
	}
	file := filepath.Join(t.TempDir(), "apps.jsonl")
	must(t, os.WriteFile(file, []byte(exported.String()), 0o600))
	var imported strings.Builder
	if code := run(append([]string{"app", "import", file}, where...), &imported, &imported); code != 0 || !strings.Contains(imported.String(), "3 unchanged, 0 bad") {
		t.Errorf("import: exit code %d, want 0, and 3 unchanged records: %s", code, imported.String())
	}
}
