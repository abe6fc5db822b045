package kongtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
)

// runProbe is a plugin process: its response is its environment. The variables
// PROBE_CRASH and PROBE_DEAF make it misbehave.
func runProbe(args []string) {
	flags := flag.NewFlagSet("probe", flag.ExitOnError)
	dump := flags.Bool("dump", false, "")
	prefix := flags.String("kong-prefix", "", "")
	flags.Parse(args)
	if *dump {
		fmt.Println(`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"probe","Version":"1.0.0","Priority":1,"Phases":["access"],
			"Schema":{"name":"probe","fields":[{"config":{"type":"record","fields":[]}}]}}]}`)
		return
	}
	if os.Getenv("PROBE_CRASH") != "" {
		fmt.Println("no key")
		os.Exit(3)
	}
	stop := make(chan os.Signal, 1)
	if os.Getenv("PROBE_DEAF") != "" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(stop, syscall.SIGTERM)
	}
	socket := filepath.Join(*prefix, "probe.socket")
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening")
	plugin := &fakePlugin{handlers: map[string]func(*pdk.PDK){"access": func(k *pdk.PDK) {
		env := os.Environ()
		slices.Sort(env)
		k.Response.Exit(200, []byte(strings.Join(env, "\n")), nil)
	}}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				plugin.serve(conn)
			}()
		}
	}()
	<-stop
	fmt.Println("terminated")
}

func startProbe(t *testing.T, env ...string) (*arena, error) {
	t.Helper()
	s, err := StartStandIn(t.Context(), Options{
		Config: tokenRoute("http://127.0.0.1:1"), Plugin: linkSelf(t, "probe"), Env: append(env, "GORACE="+noRacePause),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.Close() })
	return &arena{StandIn: s, t: t, client: newClient(t)}, nil
}

func TestPluginProcess(t *testing.T) {
	t.Setenv("KONG_ONLY", "1")
	a, err := startProbe(t, "B=2")
	if err != nil {
		t.Fatal(err)
	}
	_, got := a.ask("GET", "/oauth2/token", "")
	if want := "B=2\nGORACE=" + noRacePause + "\nPWD=" + a.prefix; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if info, err := os.Stat(a.socket); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a socket made without chmod shows a umask: %v, %v", info, err)
	}
	if a.PluginPID() == 0 {
		t.Error("no process id")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if out := a.PluginOutput(); out != "listening\nterminated\n" {
		t.Errorf("got the output %q, want both lines", out)
	}
	if _, err := os.Stat(a.prefix); !os.IsNotExist(err) {
		t.Errorf("prefix left behind: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestPluginIsRespawned(t *testing.T) {
	a, err := startProbe(t)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		a.expect("GET", "/oauth2/token", 200, "PWD=")
	}
	before := a.PluginPID()
	a.KillPlugin()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := a.process.ready(ctx); err != nil {
		t.Fatal(err)
	}
	if after := a.PluginPID(); after == before || after == 0 {
		t.Errorf("got process %d after %d, want a new one", after, before)
	}
	for range 4 { // over stale connections and instances
		a.expect("GET", "/oauth2/token", 200, "PWD=")
	}
	if !strings.Contains(a.Log(), "terminated") {
		t.Errorf("log: %s", a.Log())
	}
}

// TestPluginIsRestarted: as on kong reload, two processes run for a while.
func TestPluginIsRestarted(t *testing.T) {
	a, err := startProbe(t)
	if err != nil {
		t.Fatal(err)
	}
	a.expect("GET", "/oauth2/token", 200, "PWD=")
	before := a.PluginPID()
	end, err := a.RestartPlugin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := a.PluginPID()
	if owner, err := listenerOf(t.Context(), a.socket); after == before || owner != after || err != nil {
		t.Errorf("process %d after %d, and the socket is that of %d: %v", after, before, owner, err)
	}
	if err := syscall.Kill(before, 0); err != nil {
		t.Errorf("the old process: %v", err)
	}
	for range 4 { // over the old process's connections and instances
		a.expect("GET", "/oauth2/token", 200, "PWD=")
	}
	if err := errors.Join(end(), end()); err != nil {
		t.Error(err)
	}
	if syscall.Kill(before, 0) == nil || a.PluginPID() != after {
		t.Errorf("the old process is still there, or its end brought process %d", a.PluginPID())
	}
	for range 4 {
		a.expect("GET", "/oauth2/token", 200, "PWD=")
	}
}

// TestRestartedPluginIsFollowed: the new process is respawned, too, and the old
// one ends with the gateway.
func TestRestartedPluginIsFollowed(t *testing.T) {
	a, err := startProbe(t)
	if err != nil {
		t.Fatal(err)
	}
	before := a.PluginPID()
	if _, err := a.RestartPlugin(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.KillPlugin()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := a.process.ready(ctx); err != nil {
		t.Fatal(err)
	}
	a.expect("GET", "/oauth2/token", 200, "PWD=")
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if syscall.Kill(before, 0) == nil {
		t.Error("the old process is still there")
	}
	if _, err := a.RestartPlugin(t.Context()); err == nil {
		t.Error("a closed gateway started a process")
	}
}

func TestRespawnPause(t *testing.T) {
	p := &process{}
	if d := p.pause(); d != 0 {
		t.Errorf("first respawn after %v, want at once", d)
	}
	if d := p.pause(); d != respawnPause {
		t.Errorf("second respawn after %v, want %v", d, respawnPause)
	}
	p.lastUp = time.Now().Add(-2 * respawnPause)
	if d := p.pause(); d != 0 {
		t.Errorf("later respawn after %v, want at once", d)
	}
}

func TestPluginThatDoesNotStart(t *testing.T) {
	_, err := startProbe(t, "PROBE_CRASH=1")
	if err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("error %v", err)
	}
	if _, err := StartStandIn(t.Context(), Options{Plugin: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a plugin that doesn't exist started")
	}
}

func TestCloseKillsADeafPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three seconds")
	}
	t.Parallel()
	a, err := startProbe(t, "PROBE_DEAF=1")
	if err != nil {
		t.Fatal(err)
	}
	pid := a.PluginPID()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if syscall.Kill(pid, 0) == nil {
		t.Error("the plugin is still there")
	}
}
