package kongtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// runFakeKong plays the kong command: it notes its arguments in $KONG_NOTES,
// and what it starts has an admin API and an error log.
func runFakeKong(args []string) {
	notes, err := os.OpenFile(os.Getenv("KONG_NOTES"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(notes, strings.Join(args, " "))
	switch args[0] {
	case "start":
		conf, _ := os.ReadFile(args[2])
		if os.Getenv("KONG_BROKEN") != "" {
			fmt.Println("Error: no such luck")
			os.Exit(1)
		}
		admin := regexp.MustCompile(`admin_listen = (\S+)`).FindSubmatch(conf)[1]
		daemon := exec.Command(os.Args[0], "daemon", string(admin))
		daemon.Stdout = os.Stdout // held, as Kong's do
		if err := daemon.Start(); err != nil {
			panic(err)
		}
		os.MkdirAll(filepath.Join(args[4], "logs"), 0o700)
		os.WriteFile(filepath.Join(args[4], "logs", "error.log"), []byte("[notice] started\n"), 0o600)
		os.WriteFile(filepath.Join(args[4], "pid"), []byte(strconv.Itoa(daemon.Process.Pid)), 0o600)
	case "stop":
		data, _ := os.ReadFile(filepath.Join(args[2], "pid"))
		pid, _ := strconv.Atoi(string(data))
		if pid == 0 {
			fmt.Println("Error: not running")
			os.Exit(1)
		}
		syscall.Kill(pid, syscall.SIGTERM)
	case "daemon":
		http.HandleFunc("GET /status", func(http.ResponseWriter, *http.Request) {})
		http.HandleFunc("POST /config", func(w http.ResponseWriter, r *http.Request) {
			var body struct{ Config string }
			json.NewDecoder(r.Body).Decode(&body)
			fmt.Fprintf(notes, "config %s\n", body.Config)
			if body.Config == "bad" {
				http.Error(w, "declarative config is invalid", http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusCreated)
		})
		go http.ListenAndServe(args[1], nil)
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
	}
}

func TestRealKong(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes")
	t.Setenv("KONG_NOTES", notes)
	t.Setenv("KONG_BIN", linkSelf(t, "kong"))
	g, err := Start(t.Context(), Options{Config: []byte("first"), Plugin: "bin/probe"})
	if err != nil {
		t.Fatal(err)
	}
	k := g.(*realKong)
	if data, _ := os.ReadFile(filepath.Join(k.prefix, "kong.yml")); string(data) != "first" {
		t.Errorf("kong.yml: %s", data)
	}
	if g.Log() != "[notice] started\n" {
		t.Errorf("log: %q", g.Log())
	}
	if !strings.HasPrefix(g.URL(), "http://127.0.0.1:") || !strings.HasPrefix(g.TLSURL(), "https://127.0.0.1:") {
		t.Errorf("%s %s", g.URL(), g.TLSURL())
	}
	if err := g.Reload([]byte("good")); err != nil {
		t.Error(err)
	}
	if err := g.Reload([]byte("bad")); err == nil || !strings.Contains(err.Error(), "declarative config is invalid") {
		t.Errorf("a refused configuration: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	got, _ := os.ReadFile(notes)
	got = regexp.MustCompile(`127.0.0.1:\d+`).ReplaceAll(got, []byte("ADMIN"))
	want := strings.ReplaceAll("start -c PREFIX/kong.conf -p PREFIX\ndaemon ADMIN\nconfig good\nconfig bad\nstop -p PREFIX\n", "PREFIX", k.prefix)
	if string(got) != want {
		t.Errorf("kong did\n%s, want\n%s", got, want)
	}
	if _, err := os.Stat(k.prefix); !os.IsNotExist(err) {
		t.Errorf("prefix left behind: %v", err)
	}
}

func TestRealKongThatDoesNotStart(t *testing.T) {
	t.Setenv("KONG_NOTES", filepath.Join(t.TempDir(), "notes"))
	t.Setenv("KONG_BROKEN", "1")
	t.Setenv("KONG_BIN", linkSelf(t, "kong"))
	g, err := Start(t.Context(), Options{})
	if err == nil || g != nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v, %v", g, err)
	}
}

func TestKongConf(t *testing.T) {
	o := Options{Plugin: "/opt/it's/m2m-probe", Env: []string{"A=b c", "B=#1"}, Args: []string{"-metrics", "a b"}, Workers: 3}
	got := kongConf(o, "/tmp/kong1", kongPorts{proxy: 1, tls: 2, admin: 3})
	want := `prefix = /tmp/kong1
database = off
declarative_config = /tmp/kong1/kong.yml
proxy_listen = 127.0.0.1:1, 127.0.0.1:2 http2 ssl
admin_listen = 127.0.0.1:3
admin_gui_listen = off
nginx_worker_processes = 3
log_level = notice
anonymous_reports = off
proxy_access_log = off
plugins = bundled,m2m-probe
pluginserver_names = m2m_probe
pluginserver_m2m_probe_socket = /tmp/kong1/m2m-probe.socket
pluginserver_m2m_probe_start_cmd = env 'A=b c' 'B=\#1' '/opt/it'\''s/m2m-probe' -kong-prefix /tmp/kong1 -metrics 'a b'
pluginserver_m2m_probe_query_cmd = '/opt/it'\''s/m2m-probe' -dump
`
	if got != want {
		t.Errorf("kong.conf is\n%s, want\n%s", got, want)
	}
	if strings.Contains(kongConf(Options{}, "/tmp/kong1", kongPorts{}), "plugin") {
		t.Error("a Kong without a plugin has a plugin server")
	}
}

func TestStartIsTheStandInWithoutKong(t *testing.T) {
	t.Setenv("KONG_BIN", "")
	g, err := Start(t.Context(), Options{Config: []byte(`_format_version: "3.0"`)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, ok := g.(*StandIn); !ok {
		t.Errorf("a %T started", g)
	}
	if g, err := Start(t.Context(), Options{}); err == nil || g != nil {
		t.Errorf("%v, %v", g, err)
	}
}
