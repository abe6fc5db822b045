package kongtest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
)

// kongPorts are the ports of a real Kong on the loopback address.
type kongPorts struct{ proxy, tls, admin int }

// kongConf is the kong.conf for o of a Kong whose prefix is prefix.
func kongConf(o Options, prefix string, ports kongPorts) string {
	var b strings.Builder
	set := func(name, format string, args ...any) {
		value := fmt.Sprintf(format, args...)
		fmt.Fprintf(&b, "%s = %s\n", name, strings.ReplaceAll(value, "#", `\#`)) // # begins a comment
	}
	set("prefix", "%s", prefix)
	set("database", "off")
	set("declarative_config", "%s", filepath.Join(prefix, "kong.yml"))
	set("proxy_listen", "127.0.0.1:%d, 127.0.0.1:%d http2 ssl", ports.proxy, ports.tls)
	set("admin_listen", "127.0.0.1:%d", ports.admin)
	set("admin_gui_listen", "off")
	set("nginx_worker_processes", "%d", cmp.Or(o.Workers, 2))
	set("log_level", "notice")
	set("anonymous_reports", "off")
	set("proxy_access_log", "off")
	if o.Plugin == "" {
		return b.String()
	}
	name := filepath.Base(o.Plugin)
	server := strings.ReplaceAll(name, "-", "_")
	set("plugins", "bundled,%s", name)
	set("pluginserver_names", "%s", server)
	set("pluginserver_"+server+"_socket", "%s", filepath.Join(prefix, name+".socket"))
	set("pluginserver_"+server+"_start_cmd", "%s", startCommand(o, prefix))
	set("pluginserver_"+server+"_query_cmd", "%s", queryCommand(o))
	return b.String()
}

func queryCommand(o Options) string { return shellQuote(o.Plugin) + " -dump" }

// startCommand starts the plugin with its flags and its environment, which Kong
// itself wouldn't pass. more are the first words of the env command.
func startCommand(o Options, prefix string, more ...string) string {
	words := []string{"env"}
	for _, word := range more {
		words = append(words, shellQuote(word))
	}
	for _, variable := range o.Env {
		words = append(words, shellQuote(variable))
	}
	words = append(words, shellQuote(o.Plugin), "-kong-prefix", shellQuote(prefix))
	for _, arg := range o.Args {
		words = append(words, shellQuote(arg))
	}
	return strings.Join(words, " ")
}

// shellQuote makes s one word for sh.
func shellQuote(s string) string {
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !harmless(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
