package kongtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"m2m-token-enricher/test/await"
)

// realKong is a Kong that was installed.
type realKong struct {
	bin    string
	prefix string
	socket string // "" without a plugin
	ports  kongPorts
	client *http.Client // of the admin API
	close  func() error
}

// startRealKong writes a configuration to a new prefix and starts Kong in it.
func startRealKong(ctx context.Context, bin string, o Options) (Gateway, error) {
	prefix, err := os.MkdirTemp("", "kong")
	if err != nil {
		return nil, err
	}
	k := &realKong{bin: bin, prefix: prefix, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	k.close = sync.OnceValue(k.shutDown)
	if err := k.start(ctx, o); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *realKong) start(ctx context.Context, o Options) (err error) {
	if o.Plugin != "" {
		if o.Plugin, err = filepath.Abs(o.Plugin); err != nil {
			return err
		}
		k.socket = filepath.Join(k.prefix, filepath.Base(o.Plugin)+".socket")
	}
	if err := k.giveAway(); err != nil {
		return err
	}
	if k.ports, err = freePorts(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(k.prefix, "kong.yml"), o.Config, 0o644); err != nil {
		return err
	}
	conf := filepath.Join(k.prefix, "kong.conf")
	if err := os.WriteFile(conf, []byte(kongConf(o, k.prefix, k.ports)), 0o644); err != nil {
		return err
	}
	if err := k.run(ctx, "start", "-c", conf, "-p", k.prefix); err != nil {
		return err
	}
	return k.ready(ctx)
}

// giveAway lets the user that Kong's workers run as write to the prefix, and
// nobody else.
func (k *realKong) giveAway() error {
	if err := os.Chmod(k.prefix, 0o755); err != nil {
		return err
	}
	return GiveToWorkers(k.prefix)
}

// run runs one of kong's commands.
func (k *realKong) run(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.bin, args...)
	cmd.WaitDelay = time.Second // Kong's daemons may keep the pipe open
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("kong %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// ready waits for the admin API, and for the plugin's socket: until it exists,
// Kong answers requests on the plugin's routes with 500.
func (k *realKong) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := await.Success(ctx, func() error { return k.admin(ctx, http.MethodGet, "/status", nil) }); err != nil {
		return fmt.Errorf("waiting for Kong: %w", err)
	}
	if k.socket == "" {
		return nil
	}
	if err := await.Success(ctx, func() error { return listens(ctx, k.socket) }); err != nil {
		return fmt.Errorf("waiting for the plugin's socket: %w; Kong's log:\n%s", err, k.Log())
	}
	return nil
}

// listens returns nil if somebody accepts connections at socket.
func listens(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (k *realKong) admin(ctx context.Context, method, path string, body []byte) error {
	url := fmt.Sprintf("http://127.0.0.1:%d%s", k.ports.admin, path)
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(answer))
	}
	return nil
}

// URL implements [Gateway].
func (k *realKong) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", k.ports.proxy) }

// TLSURL implements [Gateway].
func (k *realKong) TLSURL() string { return fmt.Sprintf("https://127.0.0.1:%d", k.ports.tls) }

// Reload implements [Gateway]. Kong's workers follow within a second or two.
func (k *realKong) Reload(config []byte) error {
	body, err := json.Marshal(map[string]string{"config": string(config)})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := k.admin(ctx, http.MethodPost, "/config", body); err != nil {
		return err
	}
	return k.ready(ctx)
}

// Log implements [Gateway].
func (k *realKong) Log() string {
	data, _ := os.ReadFile(filepath.Join(k.prefix, "logs", "error.log")) // there is none yet
	return string(data)
}

// Close implements [Gateway].
func (k *realKong) Close() error { return k.close() }

func (k *realKong) shutDown() error {
	err := k.run(context.Background(), "stop", "-p", k.prefix)
	k.client.CloseIdleConnections()
	return errors.Join(err, os.RemoveAll(k.prefix))
}

// freePorts finds ports that nobody listens on at the moment.
func freePorts() (p kongPorts, err error) {
	for _, port := range []*int{&p.proxy, &p.tls, &p.admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close() // not before the last one is known: they must differ
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}
