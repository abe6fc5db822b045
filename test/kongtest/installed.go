package kongtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// installed has the settings of a kong.conf for the stand-in that [Command] runs.
type installed struct {
	prefix       string
	ports        kongPorts
	admin        string // host:port
	startCommand string // "" without a plugin
	queryCommand string
	log          io.Writer // the error log
}

// readKongConf reads a kong.conf that kongConf wrote. Plugin is the plugin's
// name alone.
func readKongConf(path string) (Options, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Options{}, err
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		settings[name] = strings.ReplaceAll(value, `\#`, "#")
	}
	in := &installed{prefix: settings["prefix"], admin: settings["admin_listen"]}
	_, err = fmt.Sscanf(settings["proxy_listen"], "127.0.0.1:%d, 127.0.0.1:%d http2 ssl", &in.ports.proxy, &in.ports.tls)
	workers, atoi := strconv.Atoi(settings["nginx_worker_processes"])
	config, read := os.ReadFile(settings["declarative_config"])
	if err := errors.Join(err, atoi, read); err != nil {
		return Options{}, fmt.Errorf("%s: %w", path, err)
	}
	server := "pluginserver_" + settings["pluginserver_names"]
	in.startCommand, in.queryCommand = settings[server+"_start_cmd"], settings[server+"_query_cmd"]
	plugin := strings.TrimPrefix(settings["plugins"], "bundled,")
	return Options{Config: config, Plugin: plugin, Workers: workers, installed: in}, nil
}

// startInstalled starts a stand-in that readKongConf describes, in its prefix.
// As Kong it doesn't wait for the plugin.
func startInstalled(ctx context.Context, o Options) (*StandIn, error) {
	logs := filepath.Join(o.installed.prefix, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, err
	}
	errorLog, err := os.OpenFile(filepath.Join(logs, "error.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	o.installed.log = errorLog // until the process ends
	if o.Plugin == "" {
		return newStandIn(o, nil, "", time.Minute)
	}
	info, err := queryPlugin(ctx, o.Plugin, o.installed.queryCommand)
	if err != nil {
		return nil, err
	}
	s, err := newStandIn(o, info, "", time.Minute)
	if err != nil {
		return nil, err
	}
	if s.process, err = startProcess(s, o.installed.startCommand); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
