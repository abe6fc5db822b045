package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"m2m-token-enricher/test/redistest"
)

// hostile are texts that would forge a line or steer the terminal.
var hostile = []string{
	"Acme\nis_suspended=true\x1b[31m", "\r\n", "\x1b]0;title\a", "a\u2028b\u2029c", "\u009b2J", "\u202eeman", "a\ufeffb", "\u200b", "\xff\xfe",
	"\x7f", "tab\tbed", `"quoted"`, "\U000e0041", `back\slash`, " around ", "株式会社", "x\x00y",
}

// terminal runs commands and holds that each line of theirs is one to see.
type terminal struct{ t *testing.T }

func (c terminal) run(code, lines int, args ...string) string {
	c.t.Helper()
	var stdout, stderr strings.Builder
	got := run(args, &stdout, &stderr)
	all := stdout.String() + stderr.String()
	if got != code {
		c.t.Errorf("%q: exit code %d, want %d: %q", args, got, code, all)
	}
	if n := strings.Count(all, "\n"); lines > 0 && n != lines || !strings.HasSuffix(all, "\n") {
		c.t.Errorf("%q: %d lines, want %d: %q", args, n, lines, all)
	}
	if code == 2 {
		all, _, _ = strings.Cut(all, "\n") // then the usage
	}
	for _, r := range all {
		if r != '\n' && (r == utf8.RuneError || !unicode.IsGraphic(r)) {
			c.t.Errorf("%q: %q in %q", args, r, all)
		}
	}
	return stdout.String()
}

// TestTerminal: whatever a record, a file or an argument holds, a command prints
// the lines that it should, and nothing that isn't seen.
func TestTerminal(t *testing.T) {
	server := redistest.Start(t)
	c, dir, ctx := terminal{t}, t.TempDir(), context.Background()
	keyFile, _ := newFile(t)
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		run([]string{"keys", "public", keyFile}, w, io.Discard)
	}))
	defer published.Close()
	config := filepath.Join(dir, "kong.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
plugins:
- name: m2m-token-enricher
  config:
    issuer: https://127.0.0.1:1
    jwks_uri: %s
    redis: {host: 127.0.0.1, port: %d}
    prefix: "p:"
    management_audiences: [https://example.com/api]
    organization: {from: [application.org_code]}
    signing: {jwks_file: %s}
    claims: [{name: v, from: application.v}]
`, published.URL, server.Port(), keyFile), 0o600))
	workflow := filepath.Join(dir, "printsWorkflow.js")
	target := func(command string, args ...string) []string {
		return slices.Concat(strings.Fields(command), []string{"-c", config}, args)
	}
	for _, text := range hostile {
		must(t, server.Client().FlushAll(ctx).Err(),
			server.Client().HSet(ctx, "p:app:c1", "org_code", "o1", "v", text, text, "named so").Err(),
			server.Client().HSet(ctx, "p:org:o1", "code", "o1").Err(),
			server.Client().HSet(ctx, "p:app:"+text, "org_code", text).Err())

		got := c.run(0, 3, target("app get", "c1")...)
		if value := readBack(t, got, "v="); value != text {
			t.Errorf("app get c1 shows %q as %q", text, value)
		}
		c.run(0, 1, target("app get", "--", text)...)
		c.run(0, 2, target("app list")...)
		c.run(3, 0, target("explain", "--", text)...)
		if utf8.ValidString(text) { // else the record is refused
			c.run(0, 6, target("explain", "c1")...)
			c.run(0, 2, target("app set --dry-run", "c1", "v=another")...)
			c.run(0, 2, target("app set --dry-run", "c1", "w=="+text)...)
			must(t, os.WriteFile(workflow, fmt.Appendf(nil, printsWorkflow, mustJSON(t, text)), 0o600))
			c.run(0, 14, target("workflow run", "--client", "c1", workflow)...)
			c.run(0, 6, "workflow", "check", workflow)
		}
		c.run(0, 1, target("app delete --dry-run", "--", text)...)
		c.run(1, 2, target("app delete --dry-run", "--", text, "missing"+text)...)

		token := filepath.Join(dir, "token")
		must(t, os.WriteFile(token, []byte(unsigned(t, map[string]string{"alg": "ES256", "x": text}, map[string]string{"v": text})), 0o600))
		c.run(3, 4, target("inspect", "--url", published.URL, token)...)
		c.run(3, 0, target("explain", "--token", token)...)

		name := "missing" + strings.ReplaceAll(text, "\x00", "")
		c.run(1, 1, "check", filepath.Join(dir, name))
		c.run(1, 1, "workflow", "check", filepath.Join(dir, name))
		c.run(1, 1, "workflow", "run", "--records", dir, "--event", filepath.Join(dir, name), workflow)
		c.run(1, 1, "keys", "list", filepath.Join(dir, name))
		c.run(1, 1, target("app import", filepath.Join(dir, name))...)
		c.run(2, 0, text, "-")
		c.run(2, 0, "-"+text)
		c.run(2, 0, "app", "get", "-"+text)
		c.run(1, 1, "app", "get", "--prefix", "p:", "--host", "127.0.0.1", "--port", strconv.Itoa(server.Port()), "missing"+text)

		if shown := c.run(0, 1, target("app get --json", "c1")...); utf8.ValidString(text) { // JSON has nothing else
			var record struct{ Properties map[string]string }
			must(t, json.Unmarshal([]byte(shown), &record))
			if got := record.Properties["v"]; got != text {
				t.Errorf("app get --json c1 shows %q as %q", text, got)
			}
		}
	}
}

// printsWorkflow is a workflow that prints what its record has, and sets a claim to it.
// Its id is left open.
const printsWorkflow = `
export const workflowSettings = {id: %s, trigger: "m2m:token_generation", bindings: {"kinde.m2mToken": {}, "kinde.fetch": {}}};
export default function (event) {
	const {domains, application} = event.context;
	const answer = kinde.fetch(domains.kindeDomain + "/api/v1/applications/" + application.clientId + "/properties", {method: "GET"});
	for (const {key, value} of answer.json.properties) {
		console.log(value);
		if (key === "v") kinde.m2mToken.setCustomClaim("copy", value);
	}
}
`

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return text
}

// unsigned returns a token with a signature that is nobody's. Its JSON has no
// escape where JSON needs none.
func unsigned(t *testing.T, header, payload map[string]string) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]string{header, payload} {
		text, err := json.Marshal(part)
		must(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	return strings.Join(parts, ".") + ".AAAA"
}

// readBack returns the value of the line that begins with name.
func readBack(t *testing.T, lines, name string) string {
	t.Helper()
	for line := range strings.Lines(lines) {
		value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name)
		if !ok {
			continue
		}
		if strings.HasPrefix(value, `"`) {
			unquoted, err := strconv.Unquote(value)
			must(t, err)
			return unquoted
		}
		return value
	}
	t.Fatalf("no line %s in %q", name, lines)
	return ""
}
