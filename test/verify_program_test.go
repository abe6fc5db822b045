package test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/test/await"
)

// program is a process with the API of a snippet. It reads tokens, one a line, and
// writes the status that the API answers each with.
type program struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// language is a snippet that runs.
type language struct {
	fence, file        string // of the page's block
	driver, driverFile string // makes a program of it

	prepare func(t *testing.T, dir string) []string // installs what it needs and returns what starts it, or skips

	// How the page writes the pause between two fetches for an unknown kid, and
	// the time for which a set is cached. Each is followed by a shorter time.
	pause, keep []string
}

var languages = map[string]language{
	"Go": {
		fence: "go", file: "api.go", driverFile: "main.go", driver: goDriver, prepare: prepareGo,
		pause: []string{"10*time.Second", "time.Millisecond"}, keep: []string{"5 * time.Minute", "time.Second"},
	},
	"Node": {
		fence: "js", file: "api.mjs", driverFile: "main.mjs", driver: nodeDriver, prepare: prepareNode,
		pause: []string{"10_000", "0"}, keep: []string{"300_000", "1_000"},
	},
	"Python": {
		fence: "python", file: "api.py", driverFile: "main.py", driver: pythonDriver, prepare: preparePython,
		keep: []string{"lifespan=300", "lifespan=1"}, // and no pause
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

// install runs a command that fetches a snippet's libraries, for 90 s at most.
// If it fails, the test is skipped.
func install(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed (Debian: apt-get install %s)", name, name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the libraries of the snippet can't be fetched: %v: %s", err, out)
	}
}

func prepareGo(t *testing.T, dir string) []string {
	t.Helper()
	write(t, filepath.Join(dir, "go.mod"), "module api\n\ngo 1.26\n")
	install(t, dir, "go", "get", "github.com/golang-jwt/jwt/v5@v5.3.1", "github.com/MicahParks/keyfunc/v3@v3.9.1", "golang.org/x/time@v0.15.0")
	return []string{"sh", "-c", "go build -mod=mod -o api . && exec ./api"}
}

func prepareNode(t *testing.T, dir string) []string {
	t.Helper()
	install(t, dir, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "jose@6", "express@5")
	return []string{"node", "main.mjs"}
}

func preparePython(t *testing.T, _ string) []string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import jwt, cryptography; jwt.PyJWKClient").Run() == nil {
			return []string{python, "main.py"}
		}
	}
	t.Skip("PyJWT is not installed (Debian: apt-get install python3-jwt python3-cryptography)")
	return nil
}

// replace replaces old, and fails the test if text doesn't have it.
func replace(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the snippet has no %q:\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, replacement)
}

// start runs the page's snippet with the keys and the algorithm of a publisher.
func (l language) start(t *testing.T, dir string, command []string, p *publisher, edits ...string) *program {
	t.Helper()
	text := replace(t, block(t, verifyPage, l.fence), verifyURL, p.URL+"/m2m/jwks.json")
	text = replace(t, text, "RS256", p.ring.Load().Algorithm())
	for i := 0; i < len(edits); i += 2 {
		text = replace(t, text, edits[i], edits[i+1])
	}
	write(t, filepath.Join(dir, l.file), text+"\n")
	write(t, filepath.Join(dir, l.driverFile), l.driver)
	var stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stderr = dir, &stderr
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
	// Reading from a program that hangs ends when the program is killed.
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%v: %s", err, stderr.String())
		}
	})
	return &program{t, in, bufio.NewScanner(out)}
}

// ask returns the status of the answer to a request with token.
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
	expect(p.t, "status for "+what, p.ask(token), status)
}

// refusesRemovedKey: a removed key is refused once the cached set has expired, with
// no unknown kid that would cause a fetch.
func (l language) refusesRemovedKey(t *testing.T, dir string, command []string) {
	leaked, next := generated(t, "ec"), generated(t, "ec")
	p := startPublisher(t, ringOf(t, leaked, next))
	api := l.start(t, dir, command, p, l.keep...)
	token := signed(t, p.ring.Load(), nil)
	api.expect("a token of the first key", token, "200")
	p.ring.Store(ringOf(t, next))
	await.True(t, "refusal of the removed key", func() bool { return api.ask(token) == "401" })
	api.expect("a token of the second key", signed(t, p.ring.Load(), nil), "200")
}
