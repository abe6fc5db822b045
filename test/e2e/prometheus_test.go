package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// server is a real Prometheus. It scrapes itself, too: queries about the plugin
// must not count other programs.
type server struct{ address string }

// scraped is its configuration. It evaluates the alert rules, too.
const scraped = `
global: {scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 300ms}
rule_files: [%q]
scrape_configs:
- {job_name: gateways, static_configs: [{targets: [%q]}]}
- {job_name: others, static_configs: [{targets: [%q]}]}
`

// prometheus starts a server that scrapes address.
func (w *world) prometheus(address string) server {
	w.Helper()
	program(w.T, "prometheus")
	rules, err := filepath.Abs("../../deploy/alerts.yaml")
	if err != nil {
		w.Fatal(err)
	}
	s := server{loopback(w.T)}
	dir := w.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, scraped, rules, address, s.address), 0o600); err != nil {
		w.Fatal(err)
	}
	var log strings.Builder // read after the end of the process only
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+s.address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.Errorf("prometheus: %v", err)
		}
		if w.Failed() {
			w.Logf("the log of prometheus:\n%s", log.String())
		}
	})
	w.eventually(func() error { return s.get("/-/ready", nil) })
	return s
}

// program skips the test unless the program is installed.
func program(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed (Debian: apt-get install --no-install-recommends prometheus)", name)
	}
}

// get reads the data of the JSON at path, unless data is nil.
func (s server) get(path string, data any) error {
	code, body, err := get("http://" + s.address + path)
	if err != nil {
		return err
	}
	if data == nil {
		if code != http.StatusOK {
			return fmt.Errorf("status %d", code)
		}
		return nil
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// sample is one of a query's results, at this moment.
type sample struct {
	Metric map[string]string
	Value  [2]any // the time, and the value as a string
}

func (s server) query(expression string) ([]sample, error) {
	var answer struct{ Result []sample }
	err := s.get("/api/v1/query?query="+url.QueryEscape(expression), &answer)
	return answer.Result, err
}

// rule is an alert as the server evaluates it.
type rule struct {
	Name, State, Health, LastError string
	Alerts                         []struct{ Annotations map[string]string }
}

func (s server) rules() ([]rule, error) {
	var loaded struct{ Groups []struct{ Rules []rule } }
	if err := s.get("/api/v1/rules", &loaded); err != nil {
		return nil, err
	}
	var all []rule
	for _, group := range loaded.Groups {
		all = append(all, group.Rules...)
	}
	return all, nil
}
