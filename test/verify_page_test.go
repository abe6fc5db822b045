package test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"sigs.k8s.io/yaml"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/test/idptest"
)

// What docs/verify.md says, in each snippet alike.
const (
	verifyPage     = "docs/verify.md"
	verifyURL      = "https://gateway.example.com/m2m/jwks.json"
	verifyIssuer   = "https://example.kinde.com"
	verifyAudience = "https://api.example.com"
)

// publisher is a gateway's key set over HTTP, without the gateway.
type publisher struct {
	*httptest.Server
	ring atomic.Pointer[jws.Ring]
}

func startPublisher(t *testing.T, ring *jws.Ring) *publisher {
	t.Helper()
	p := &publisher{}
	p.ring.Store(ring)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/m2m/jwks.json" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(p.ring.Load().PublicSet())
	}))
	t.Cleanup(p.Close)
	return p
}

// generated returns a new key of kind, as "keys generate" writes it.
func generated(t *testing.T, kind string) json.RawMessage {
	t.Helper()
	text, err := jws.Generate(kind)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

// ringOf returns the ring of keys, of which the first signs.
func ringOf(t *testing.T, keys ...json.RawMessage) *jws.Ring {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := jws.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// verifyClaims are those of a good token, with a change.
func verifyClaims(change func(map[string]any)) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": verifyIssuer, "aud": []string{verifyAudience, "https://other.example"}, "azp": "client", "org_code": "org_1",
		"iat": now - 7200, "exp": now + 3600,
	}
	if change != nil {
		change(claims)
	}
	return claims
}

func signed(t *testing.T, ring *jws.Ring, change func(map[string]any)) string {
	t.Helper()
	payload, err := json.Marshal(verifyClaims(change))
	if err != nil {
		t.Fatal(err)
	}
	token, err := ring.Sign(t.Context(), []byte(`"JWT"`), payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// forged are the tokens that an API must refuse, made for a gateway whose ring
// signs.
func forged(t *testing.T, ring *jws.Ring) map[string]string {
	t.Helper()
	provider, err := idptest.Start(verifyIssuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	if err := provider.Rotate(strings.Replace(ring.Algorithm(), "PS256", "RS256", 1)); err != nil {
		t.Fatal(err)
	}
	raw, err := provider.Sign(verifyClaims(nil))
	if err != nil {
		t.Fatal(err)
	}
	_, private := provider.Key()
	kid := ring.Keys()[0].ID
	good := signed(t, ring, nil)
	payload := strings.Split(good, ".")[1]
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	return map[string]string{
		"signed by the provider":                       raw,
		"signed by the provider in the gateway's name": withKey(t, jwt.GetSigningMethod(ring.Algorithm()), kid, private),
		"signed with the public set as a secret":       withKey(t, jwt.SigningMethodHS256, kid, ring.PublicSet()),
		"another audience":                             signed(t, ring, set("aud", "https://other.example")),
		"an audience that only begins alike":           signed(t, ring, set("aud", verifyAudience+"/x")),
		"no audience":                                  signed(t, ring, without("aud")),
		"expired":                                      signed(t, ring, set("exp", time.Now().Unix()-120)),
		"no end":                                       signed(t, ring, without("exp")),
		"not yet valid":                                signed(t, ring, set("nbf", time.Now().Unix()+600)),
		"another issuer":                               signed(t, ring, set("iss", verifyIssuer+"/")),
		"no issuer":                                    signed(t, ring, without("iss")),
		"alg none":                                     encode(`{"alg":"none","kid":"`+kid+`"}`) + "." + payload + ".",
		"alg none with the signature":                  encode(`{"alg":"none","kid":"`+kid+`"}`) + good[strings.Index(good, "."):],
		"another payload":                              strings.Replace(good, payload, encode(`{"iss":"`+verifyIssuer+`","aud":"`+verifyAudience+`","exp":9999999999}`), 1),
		"nothing":                                      "",
		"no token":                                     "x",
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func withKey(t *testing.T, method jwt.SigningMethod, kid string, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(verifyClaims(nil)))
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// program is an API that a snippet of the page makes, as a process that reads
// tokens, one a line, and answers each with the status of its answer.
type program struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// language is a snippet that runs.
type language struct {
	fence, file        string // of the page's block
	driver, driverFile string // what makes a program of it

	prepare func(t *testing.T, dir string)           // brings what it needs, or skips
	command func(t *testing.T, dir string) *exec.Cmd // starts it

	// How the page writes the pause between two fetches for an unknown kid and
	// the time for which it keeps a set, each with a short time instead.
	pause, keep []string
}

var languages = map[string]language{
	"Go": {
		fence: "go", file: "api.go", driverFile: "main.go", driver: goDriver, prepare: prepareGo, command: buildGo,
		pause: []string{"10*time.Second", "time.Millisecond"}, keep: []string{"5 * time.Minute", "time.Second"},
	},
	"Node": {
		fence: "js", file: "api.mjs", driverFile: "main.mjs", driver: nodeDriver, prepare: prepareNode,
		command: func(_ *testing.T, _ string) *exec.Cmd { return exec.Command("node", "main.mjs") },
		pause:   []string{"10_000", "0"}, keep: []string{"300_000", "1_000"},
	},
	"Python": {
		fence: "python", file: "api.py", driverFile: "main.py", driver: pythonDriver, prepare: preparePython,
		command: func(t *testing.T, _ string) *exec.Cmd { return exec.Command(python(t), "main.py") },
		keep:    []string{"lifespan=300", "lifespan=1"}, // and no pause
	},
}

const goDriver = `package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/golang-jwt/jwt/v5"
)

func main() {
	api, err := authenticate(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(claimsKey{}).(jwt.MapClaims)["org_code"])
	}))
	if err != nil {
		panic(err)
	}
	for tokens := bufio.NewScanner(os.Stdin); tokens.Scan(); {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+tokens.Text())
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
}
`

const nodeDriver = `import { createInterface } from 'node:readline'
import { app } from './api.mjs'

const server = app.listen(0, '127.0.0.1', async () => {
  for await (const token of createInterface({ input: process.stdin })) {
    const url = 'http://127.0.0.1:' + server.address().port + '/orders'
    const answer = await fetch(url, { headers: { Authorization: 'Bearer ' + token } })
    await answer.text()
    console.log(answer.status)
  }
  process.exit()
})
`

const pythonDriver = `import sys

import jwt

from api import verify

for line in sys.stdin:
    try:
        print(200 if verify(line.strip())["org_code"] == "org_1" else 500, flush=True)
    except jwt.PyJWTError:
        print(401, flush=True)
`

// prepareTime bounds what is brought over the network.
const prepareTime = 90 * time.Second

// prepareGo gets the modules that the page names. Where they can't be had the
// test is skipped.
func prepareGo(t *testing.T, dir string) {
	t.Helper()
	writeFile(t, filepath.Join(dir, "go.mod"), "module api\n\ngo 1.26\n")
	ctx, cancel := context.WithTimeout(t.Context(), prepareTime)
	defer cancel()
	get := exec.CommandContext(ctx, "go", "get", "github.com/golang-jwt/jwt/v5@v5.3.1", "github.com/MicahParks/keyfunc/v3@v3.9.1", "golang.org/x/time@v0.15.0")
	get.Dir, get.WaitDelay = dir, time.Second
	if out, err := get.CombinedOutput(); err != nil {
		t.Skipf("the modules of the Go snippet can't be had: %v: %s", err, out)
	}
}

func buildGo(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	build := exec.Command("go", "build", "-mod=mod", "-o", "api", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the Go snippet: %v: %s", err, out)
	}
	return exec.Command(filepath.Join(dir, "api"))
}

func prepareNode(t *testing.T, dir string) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed (Debian: apt-get install npm)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), prepareTime)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "jose@6", "express@5")
	install.Dir, install.WaitDelay = dir, time.Second
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("the packages of the Node snippet can't be had: %v: %s", err, out)
	}
}

func preparePython(t *testing.T, _ string) { python(t) }

// python returns an interpreter that has PyJWT with cryptography.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import jwt, cryptography; jwt.PyJWKClient").Run() == nil {
			return name
		}
	}
	t.Skip("PyJWT is not installed (Debian: apt-get install python3-jwt python3-cryptography)")
	return ""
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace replaces old, which must be there: what a test changes in a snippet
// can't go away unnoticed.
func replace(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the snippet doesn't say %q:\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, replacement)
}

// start runs the page's snippet against a publisher, with the algorithm of its
// ring in it.
func (l language) start(t *testing.T, dir string, p *publisher, edits ...string) *program {
	t.Helper()
	text := replace(t, block(t, verifyPage, l.fence), verifyURL, p.URL+"/m2m/jwks.json")
	text = replace(t, text, "RS256", p.ring.Load().Algorithm())
	for i := 0; i < len(edits); i += 2 {
		text = replace(t, text, edits[i], edits[i+1])
	}
	writeFile(t, filepath.Join(dir, l.file), text+"\n")
	writeFile(t, filepath.Join(dir, l.driverFile), l.driver)
	cmd := l.command(t, dir)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A program that hangs must not hold the test up: without it, reading ends.
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%v: %s", err, said.String())
		}
	})
	return &program{t, in, bufio.NewScanner(out)}
}

// ask returns the status that a request with token is answered with.
func (p *program) ask(token string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, token); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("the program ended: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *program) expect(what, token, status string) {
	p.t.Helper()
	if got := p.ask(token); got != status {
		p.t.Errorf("%s: status %s, not %s", what, got, status)
	}
}

// TestVerifyPage runs the page's programs: they accept the gateway's tokens and
// those of its next key, without a restart, and no others.
func TestVerifyPage(t *testing.T) {
	for name, l := range languages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l.prepare(t, dir)
			for _, kind := range []string{"rsa", "ec", "ed25519"} {
				t.Run(kind, func(t *testing.T) {
					first, next := generated(t, kind), generated(t, kind)
					before, after := ringOf(t, first), ringOf(t, next, first)
					p := startPublisher(t, before)
					api := l.start(t, dir, p, l.pause...)
					api.expect("a good token", signed(t, before, nil), "200")
					for what, token := range forged(t, before) {
						api.expect(what, token, "401")
					}
					p.ring.Store(after)
					api.expect("a token of the next key", signed(t, after, nil), "200")
					api.expect("a token of the key before", signed(t, before, nil), "200")
					api.expect("a token of a key that isn't published", signed(t, ringOf(t, generated(t, kind)), nil), "401")
				})
			}
			t.Run("a removed key", func(t *testing.T) { l.forgets(t, dir) })
		})
	}
}

// forgets: a key that is no longer published is refused once the set is as old
// as it may be, with nothing unknown to ask for.
func (l language) forgets(t *testing.T, dir string) {
	leaked, next := generated(t, "ec"), generated(t, "ec")
	p := startPublisher(t, ringOf(t, leaked, next))
	api := l.start(t, dir, p, l.keep...)
	token := signed(t, p.ring.Load(), nil)
	api.expect("before", token, "200")
	p.ring.Store(ringOf(t, next))
	for end := time.Now().Add(20 * time.Second); api.ask(token) != "401"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the removed key is still accepted")
		}
	}
	api.expect("the other key", signed(t, p.ring.Load(), nil), "200")
}

// TestVerifyPagePEM: the keys as Kong's jwt plugin takes them.
func TestVerifyPagePEM(t *testing.T) {
	for _, program := range []string{"node", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	ring := ringOf(t, generated(t, "rsa"), generated(t, "ec"), generated(t, "ed25519"))
	p := startPublisher(t, ring)
	script := replace(t, block(t, verifyPage, "sh"), verifyURL, p.URL+"/m2m/jwks.json")
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := out
	for _, key := range ring.Keys() {
		line, after, _ := bytes.Cut(bytes.TrimSpace(rest), []byte("\n"))
		if want := key.ID + " " + key.Algorithm; string(line) != want {
			t.Errorf("%q, not %q", line, want)
		}
		var found *pem.Block
		if found, rest = pem.Decode(after); found == nil || found.Type != "PUBLIC KEY" {
			t.Fatalf("no key after %q", line)
		}
		parsed, err := jws.ParseRing(append(privatePEM(t), pem.EncodeToMemory(found)...))
		if err != nil || parsed.Keys()[1].ID != key.ID {
			t.Errorf("%s: another key: %v", key.ID, err)
		}
	}
}

// privatePEM is a key that can sign: a ring needs one.
func privatePEM(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestVerifyPageSnippets: what doesn't run is at least complete, and YAML that
// can be read.
func TestVerifyPageSnippets(t *testing.T) {
	blocks := strings.Split(read(t, verifyPage), "\n```")
	seen := map[string]int{}
	for i := 1; i < len(blocks); i += 2 {
		language, text, _ := strings.Cut(blocks[i], "\n")
		seen[language]++
		if language == "yaml" {
			if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
				t.Errorf("%v:\n%s", err, text)
			}
		}
		if language == "sh" {
			continue
		}
		for _, need := range []string{"exp", "iss", "aud"} {
			if !strings.Contains(strings.ToLower(text), need) && !strings.Contains(text, "openid-connect") {
				t.Errorf("%s: no word of %q:\n%s", language, need, text)
			}
		}
		plain := strings.ReplaceAll(text, `\`, "")
		if !strings.Contains(plain, verifyAudience) {
			t.Errorf("%s: not for the page's audience:\n%s", language, text)
		}
		if !strings.Contains(plain, verifyURL) && !strings.Contains(text, "/.well-known/openid-configuration") && !strings.Contains(text, "jwt_secrets") {
			t.Errorf("%s: not by the gateway's keys:\n%s", language, text)
		}
		if strings.Contains(text, verifyIssuer+"/") {
			t.Errorf("%s: something is asked of the provider:\n%s", language, text)
		}
	}
	want := []string{"csharp", "go", "java", "js", "nginx", "python", "sh", "yaml"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) || seen["yaml"] != 3 {
		t.Errorf("the page has snippets in %v", seen)
	}
}
