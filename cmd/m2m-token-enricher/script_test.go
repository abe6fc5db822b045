package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"m2m-token-enricher/plugin"
	"m2m-token-enricher/plugin/rotation"
	"m2m-token-enricher/test/redistest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){plugin.Name: main})
}

// TestScripts runs the files of testdata/script, which show the commands at
// work.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "kid": kid},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", raceOptions)
			return nil
		},
	})
}

// TestRecordScripts runs those that need a Redis, which is at $PORT and in
// kong.yml. Each has a $PREFIX of its own. workflow.yml has the workflow of
// configuredWorkflow.ts, reuse.yml reuses answers.
func TestRecordScripts(t *testing.T) {
	server := redistest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script/redis",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", raceOptions)
			prefix := filepath.Base(env.WorkDir) + ":"
			env.Setenv("PORT", strconv.Itoa(server.Port()))
			env.Setenv("PREFIX", prefix)
			return errors.Join(
				os.WriteFile(filepath.Join(env.WorkDir, "kong.yml"), fmt.Appendf(nil, kongYML, server.Port(), prefix), 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "workflow.yml"), fmt.Appendf(nil, workflowYML, server.Port(), prefix, env.WorkDir), 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "reuse.yml"), fmt.Appendf(nil, reuseYML, server.Port(), prefix), 0o600))
		},
	})
}

const kongYML = `
plugins:
- name: m2m-token-enricher
  config:
    issuer: https://example.kinde.com
    redis: {host: 127.0.0.1, port: %[1]d}
    prefix: "%[2]s"
    management_audiences: [https://example.kinde.com/api]
    organization: {from: [application.org_code]}
    signing: {jwks_file: keys.json}
    claims: [{name: org_code, from: application.org_code}, {name: level, expr: 'has(application.service_level) ? application.service_level : "basic"'}]
- name: m2m-token-enricher
  config:
    issuer: https://example.kinde.com
    redis: {host: 127.0.0.1, port: %[1]d}
    prefix: "%[2]s"
    signing: {jwks_file: keys.json}
    claims: [{name: plan, from: application.plan}]
`

const workflowYML = `
plugins:
- name: m2m-token-enricher
  config:
    issuer: https://example.kinde.com
    jwks_uri: http://127.0.0.1:1/jwks
    redis: {host: 127.0.0.1, port: %d}
    prefix: "%s"
    signing: {jwks_file: keys.json}
    workflow: {path: %s/configuredWorkflow.ts, env: {GREETING: "{vault://env/greeting}"}}
`

const reuseYML = `
plugins:
- name: m2m-token-enricher
  config:
    issuer: https://example.kinde.com
    redis: {host: 127.0.0.1, port: %d}
    prefix: "%s"
    signing: {jwks_file: keys.json}
    claims: [{name: org_code, from: application.org_code}]
    reuse: {enabled: true}
`

// raceOptions spare each command the second that the race detector sleeps at
// the end of a process.
const raceOptions = "atexit_sleep_ms=0"

// exits runs a command that must end with a code: exits CODE COMMAND ARGUMENT…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if got := fmt.Sprint(code); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// kid sets a variable to the ID of the key of a role: kid VARIABLE ROLE FILE
func kid(ts *testscript.TestScript, _ bool, args []string) {
	s, err := rotation.Load(ts.MkAbs(args[2]))
	ts.Check(err)
	for _, k := range s.Keys {
		if fmt.Sprint(k.Role) == args[1] {
			ts.Setenv(args[0], k.ID)
			return
		}
	}
	ts.Fatalf("%s has no key of the role %s", args[2], args[1])
}
