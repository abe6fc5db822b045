package diagnose

import (
	"strings"
	"testing"

	"m2m-token-enricher/test/redistest"
)

// TestCheckReuse: an operator sees what keeps answers from being reused or shared.
func TestCheckReuse(t *testing.T) {
	server := redistest.Start(t)
	for user, rights := range map[string]string{"least": "", "purges": "+hgetall", "all": "+hgetall +getrange"} {
		command := []any{"acl", "setuser", user, "on", ">pw", "~*", "-@all", "+hmget", "+exists", "+scan"}
		for _, right := range strings.Fields(rights) {
			command = append(command, right)
		}
		if err := server.Client().Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	shared := map[string]any{"enabled": true, "shared": true, "secret": "0123456789abcdef"}
	for name, tt := range map[string]struct {
		user  string
		reuse map[string]any
		mode  string
		want  []string // the findings about reuse
	}{
		"off":               {user: "least", reuse: map[string]any{"enabled": false}},
		"on":                {user: "purges", reuse: map[string]any{"enabled": true}, want: []string{"ok reuse: for up to 300 s"}},
		"shared":            {user: "all", reuse: shared, want: []string{"ok reuse: for up to 300 s", "ok reuse.shared"}},
		"no right to purge": {user: "least", reuse: map[string]any{"enabled": true}, want: []string{"error reuse: no answer is reused: NOPERM"}},
		"no right to share": {user: "purges", reuse: shared, want: []string{"ok reuse: for up to 300 s", "error reuse.shared: NOPERM"}},
		"observed":          {user: "purges", reuse: map[string]any{"enabled": true}, mode: "observe", want: []string{"warning reuse: no answer is reused, because mode is observe or enforce_share is 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := map[string]any{
				"issuer": "https://example.kinde.com", "jwks_uri": "http://127.0.0.1:1/jwks", "signing": map[string]any{"jwks": "{vault://env/keys}"},
				"redis":  map[string]any{"host": "127.0.0.1", "port": float64(server.Port()), "username": tt.user, "password": "pw"},
				"claims": []any{map[string]any{"name": "org_code", "from": "organization.code"}}, "reuse": tt.reuse,
			}
			if tt.mode != "" {
				given["mode"] = tt.mode
			}
			findings, err := Check(t.Context(), given)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				if strings.HasPrefix(f.What, "reuse") {
					got = append(got, standing(f))
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				begin, reason, _ := strings.Cut(want, ": NOPERM")
				if !strings.HasPrefix(got[i], begin) || reason != "" || strings.Contains(got[i], "NOPERM") != strings.Contains(want, "NOPERM") {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}

// standing is a finding as the command shows it.
func standing(f Finding) string {
	switch {
	case f.Err != nil:
		return "error " + f.What + ": " + f.Err.Error()
	case f.Warning:
		return "warning " + f.What
	}
	return "ok " + f.What
}
