package enrich

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// TestReadersAgree: where the plugin finds one grant, every reader of forms or
// JSON that finds any finds the same, whatever the media type says. The readers
// are those of Go, and of Node.js, Python and PHP where they are installed.
func TestReadersAgree(t *testing.T) {
	bodies := generatedBodies(40_000)
	var clear []string
	grants := map[string]string{} // by body
	count := map[string]int{}
	for _, body := range bodies {
		parameters, err := readBody([]byte(body))
		if err != nil {
			continue
		}
		if grant, err := parameters.grant(); err == nil {
			clear = append(clear, body)
			grants[body] = grant
			count[grant]++
		}
	}
	t.Logf("%d of %d bodies are clear, %d with %s, %d with password", len(clear), len(bodies), count[m2mGrant], m2mGrant, count["password"])
	if count[m2mGrant] < 1000 || count["password"] < 1000 {
		t.Fatal("too few bodies are clear, want 1000 of each")
	}
	wantGrants(t, clear, func(grant, body string) bool { return grant == grants[body] })
}

// TestReadersFindNoGrantInQuery: no reader finds a grant in a query that the plugin
// accepts.
func TestReadersFindNoGrantInQuery(t *testing.T) {
	var accepted []string
	for _, query := range generatedBodies(40_000) {
		if _, err := readQuery(query); err == nil {
			accepted = append(accepted, query)
		}
	}
	if len(accepted) < 500 {
		t.Fatalf("%d queries are accepted, want 500", len(accepted))
	}
	wantGrants(t, accepted, func(string, string) bool { return false })
}

// TestSemicolons: a semicolon in a value, which clients send as it is, is fine
// unless a reader that splits there finds another grant or client.
func TestSemicolons(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(7, 8))}
	const signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!$()*,-./:?@_~"
	text := func(n int) string {
		b := make([]byte, g.IntN(n))
		for i := range b {
			b[i] = signs[g.IntN(len(signs))]
		}
		return string(b)
	}
	names := []string{"grant_type", "client_id", "client_secret", "Client_Assertion", "grant.type", "GRANT%5FTYPE", "+client_id", "client_id%00", "grant_type[]"}
	hidden := 0
	for range 20_000 {
		value, want := text(12), true
		for range g.IntN(4) {
			value += ";" + text(12) + g.pick("", "=") + text(6)
		}
		if g.IntN(2) == 0 {
			value += g.pick(";", ";;", "; ") + g.pick(names...) + g.pick("=", "=x", "") + g.pick("", ";", ";a=b")
			want = false
			hidden++
		}
		body := "grant_type=client_credentials&client_secret=" + value + "&scope=read"
		parameters, err := readBody([]byte(body))
		if (err == nil) != want {
			t.Fatalf("readBody(%q) = %v, want accepted: %t", body, err, want)
		}
		if grant, err := parameters.grant(); want && (err != nil || grant != m2mGrant) {
			t.Fatalf("the grant of %q is %q, %v, want %s", body, grant, err, m2mGrant)
		}
	}
	if hidden < 5_000 {
		t.Errorf("%d values hide a name, want 5000", hidden)
	}
}

// wantGrants fails the test if a reader finds a grant in a body that isn't right.
func wantGrants(t *testing.T, bodies []string, right func(grant, body string) bool) {
	for name, read := range readers(t) {
		for i, found := range read(t, bodies) {
			for reader, grants := range found {
				for _, grant := range grants {
					if !right(grant, bodies[i]) {
						t.Errorf("%s: %s finds the grant %q in %q, and the plugin doesn't", name, reader, grant, bodies[i])
					}
				}
			}
		}
	}
}

// readAll returns what each of several readers finds in each body.
type readAll func(t *testing.T, bodies []string) []map[string][]string

func readers(t *testing.T) map[string]readAll {
	all := map[string]readAll{"go": goReaders}
	for name, command := range map[string][]string{
		"node":   {"node", "testdata/readers/read.js"},
		"python": {"python3", "testdata/readers/read.py"},
		"php":    {"php", "testdata/readers/read.php"},
	} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Logf("%s isn't installed, so its readers don't run", name)
			continue
		}
		all[name] = program(command)
	}
	return all
}

// program runs one process that reads all bodies.
func program(command []string) readAll {
	return func(t *testing.T, bodies []string) []map[string][]string {
		t.Helper()
		var in bytes.Buffer
		for _, body := range bodies {
			fmt.Fprintln(&in, base64.StdEncoding.EncodeToString([]byte(body)))
		}
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Stdin = &in
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", command[0], err)
		}
		var found []map[string][]string
		for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
			var one map[string][]string
			if err := dec.Decode(&one); err != nil {
				t.Fatalf("%s: %v", command[0], err)
			}
			found = append(found, one)
		}
		if len(found) != len(bodies) {
			t.Fatalf("%s read %d of %d bodies", command[0], len(found), len(bodies))
		}
		return found
	}
}

func goReaders(_ *testing.T, bodies []string) []map[string][]string {
	var found []map[string][]string
	for _, body := range bodies {
		one := map[string][]string{}
		values, _ := url.ParseQuery(body) // what could be decoded counts
		for name, seen := range values {
			if strings.EqualFold(name, "grant_type") {
				one["go form, names in any case"] = append(one["go form, names in any case"], seen...)
			}
		}
		var fields struct {
			Grant any `json:"grant_type"` // of a name in any case, the last
		}
		if json.Unmarshal([]byte(body), &fields) == nil && fields.Grant != nil {
			one["go json"] = []string{fmt.Sprint(fields.Grant)}
		}
		found = append(found, one)
	}
	return found
}

// generatedBodies returns n forms and JSON objects around one or two grants,
// each with a few of the things that readers take differently.
func generatedBodies(n int) []string {
	g := generator{rand.New(rand.NewPCG(1, 2))}
	bodies := make([]string, n)
	for i := range bodies {
		switch g.IntN(3) {
		case 0:
			bodies[i] = g.json()
		default:
			bodies[i] = g.form()
		}
		if g.IntN(3) == 0 {
			bodies[i] = g.spoil(bodies[i])
		}
	}
	return bodies
}

type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) grant() string {
	return g.pick("client_credentials", "client_credentials", "password", "password", "authorization_code", "Client_Credentials", "")
}

func (g generator) form() string {
	pairs := []string{"grant_type=" + g.grant(), "client_id=app", "client_secret=" + g.value()}
	if g.IntN(2) == 0 {
		pairs = append(pairs, g.name()+g.pick("=", "=", "")+g.pick(g.grant(), g.value()))
	}
	if g.IntN(4) == 0 {
		pairs = pairs[1:]
	}
	g.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return strings.Join(pairs, g.pick("&", "&", "&", "&&", ";", "&amp;"))
}

func (g generator) json() string {
	quote := func(s string) string {
		text, _ := json.Marshal(s)
		return g.pick(string(text), `"`+s+`"`)
	}
	members := []string{`"grant_type":` + quote(g.grant()), `"client_id":"app"`, `"client_secret":` + quote(g.value())}
	if g.IntN(2) == 0 {
		members = append(members, quote(g.name())+":"+quote(g.pick(g.grant(), g.value())))
	}
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return g.pick("", "", " ", "\n") + "{" + strings.Join(members, g.pick(",", ", ")) + "}"
}

// name may be grant_type to some reader.
func (g generator) name() string {
	name := g.pick("grant_type", "grant_type", "Grant_Type", "GRANT-TYPE", "grant.type", "grant type", "grant+type", "granttype", "%67rant_type",
		"grant_type[]", "a[grant_type]", "scope", "audience[]", "x")
	for range g.IntN(3) {
		name = g.spoil(name)
	}
	return name
}

// value may be more than a value to some reader.
func (g generator) value() string {
	return g.pick("s", "a b", "ä", "1+1", "", "=", "{", "a;b", "a&b=c", "a=b", "100%25") +
		g.pick("", "", "&", ";", "%26", "%3B", `\u0026`, "\n", "&1\",\"") + g.pick("", g.name()+"="+g.grant())
}

// spoil puts something that readers take differently anywhere into text.
func (g generator) spoil(text string) string {
	at := g.IntN(len(text) + 1)
	odd := g.pick("%00", "\x00", "[", "]", "[]", "[x]", "%5B", "%5b0%5d", ".", "+", " ", "%20", "\t", "\r\n", "\ufeff", "%EF%BB%BF", "\u200b", "%C5%BF", "%5F",
		"%5f", "_", ";", "&", "&&", "=", "%", "%zz", "%u005f", "\xff", "%ff", "'", `"`, `\u0000`, `\u005f`, "{", "}", ",", "/", "#", "?", "1")
	return text[:at] + odd + text[at:]
}
