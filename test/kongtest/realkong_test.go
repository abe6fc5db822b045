package kongtest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// copySelf copies the test binary to names in a new directory that Kong's user
// can use, too, and returns the directory.
func copySelf(t *testing.T, names ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kongtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, names[0])
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(first, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names[1:] {
		if err := os.Link(first, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRealKong: a Kong that KONG_BIN names serves when Start returns, also the
// plugin's routes, as the user that its workers have and with no umask.
func TestRealKong(t *testing.T) {
	dir := copySelf(t, "kong", "probe")
	t.Setenv("KONG_BIN", filepath.Join(dir, "kong"))
	g, err := Start(t.Context(), Options{
		Config: tokenRoute("http://127.0.0.1:1"), Plugin: filepath.Join(dir, "probe"), Env: []string{"A=b c#", "GORACE=" + noRacePause},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() }) // if the test doesn't come to it
	k := g.(*realKong)
	for range 4 {
		if answer := answerOf(t, g.URL()+"/oauth2/token"); !strings.HasPrefix(answer, "A=b c#\n") {
			t.Errorf("answer %q", answer)
		}
	}
	if answer := answerOf(t, g.TLSURL()+"/none"); !strings.Contains(answer, "no Route matched") {
		t.Errorf("answer %q", answer)
	}
	owner, mode := ownerOf(t, k.socket)
	if want := workersUID(t); owner != want || mode != 0o777 {
		t.Errorf("the socket is user %d's and its mode %v, want %d and 0777", owner, mode, want)
	}
	if owner, mode := ownerOf(t, k.prefix); owner != workersUID(t) || mode&0o022 != 0 {
		t.Errorf("the prefix is user %d's and its mode %v", owner, mode)
	}
	if err := g.Reload(tokenRoute("http://127.0.0.1:2")); err != nil {
		t.Error(err)
	}
	if err := g.Reload([]byte("bad")); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a refused configuration: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(k.prefix); !os.IsNotExist(err) {
		t.Errorf("prefix left behind: %v", err)
	}
}

// answerOf returns the body that a GET of url gets.
func answerOf(t *testing.T, url string) string {
	t.Helper()
	res, err := newClient(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func ownerOf(t *testing.T, path string) (uid uint32, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid, info.Mode().Perm()
}

// workersUID is the user that a Kong which this process starts runs as.
func workersUID(t *testing.T) uint32 {
	t.Helper()
	if os.Geteuid() != 0 {
		return uint32(os.Geteuid())
	}
	user, err := workersUser()
	if err != nil {
		t.Fatal(err)
	}
	return user.Uid
}

func TestRealKongThatDoesNotStart(t *testing.T) {
	t.Setenv("KONG_BIN", filepath.Join(copySelf(t, "kong"), "kong"))
	g, err := Start(t.Context(), Options{Config: []byte("bad")})
	if err == nil || g != nil || !strings.Contains(err.Error(), "declarative config is invalid") {
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
