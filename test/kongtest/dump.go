package kongtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"time"

	"m2m-token-enricher/schema"
)

// pluginInfo is the document that a plugin prints with -dump.
type pluginInfo struct {
	Name     string
	Version  string
	Priority int
	Phases   []string
	Schema   struct {
		Name         string
		Fields       schema.Fields
		EntityChecks []schema.EntityCheck `json:"entity_checks"`
	}
}

var (
	versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	knownPhases    = []string{"certificate", "rewrite", "access", "header_filter", "body_filter", "response", "preread", "log"}
)

// queryPlugin runs the query command of the plugin that name is expected to be.
// It inherits the environment, which the plugin's server does not.
func queryPlugin(ctx context.Context, name, command string) (*pluginInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &complaint, os.Environ()
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("query command of %s: %w: %s", name, err, bytes.TrimSpace(complaint.Bytes()))
	}
	info, err := parseDump(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("query command of %s: %w", name, err)
	}
	if info.Name != name {
		return nil, fmt.Errorf("query command of %s: plugin calls itself %q", name, info.Name)
	}
	return info, nil
}

// parseDump reads the query command's document and refuses what Kong refuses.
func parseDump(data []byte) (*pluginInfo, error) {
	var dump struct {
		Protocol string
		Plugins  []json.RawMessage
	}
	if err := json.Unmarshal(data, &dump); err != nil {
		return nil, fmt.Errorf("not one JSON document: %w", err)
	}
	if dump.Protocol != "ProtoBuf:1" { // without one Kong speaks MessagePack
		return nil, fmt.Errorf("protocol %q instead of ProtoBuf:1", dump.Protocol)
	}
	if len(dump.Plugins) == 0 {
		return nil, errors.New("no plugin")
	}
	info := &pluginInfo{} // only the first plugin counts
	if err := json.Unmarshal(dump.Plugins[0], info); err != nil {
		return nil, fmt.Errorf("plugin: %w", err)
	}
	return info, info.check()
}

func (p *pluginInfo) check() error {
	var errs []error
	if !versionPattern.MatchString(p.Version) {
		errs = append(errs, fmt.Errorf("version %q is not x.y.z", p.Version))
	}
	for _, phase := range p.Phases {
		if !slices.Contains(knownPhases, phase) {
			errs = append(errs, fmt.Errorf("unknown phase %q", phase))
		}
	}
	if p.has("response") && (p.has("header_filter") || p.has("body_filter")) {
		errs = append(errs, errors.New("a plugin can't have both response and header_filter or body_filter"))
	}
	if p.field("config") == nil {
		errs = append(errs, errors.New("schema: no field config"))
	}
	for _, f := range p.Schema.Fields {
		errs = append(errs, checkField(f.Name, f))
	}
	return errors.Join(errs...)
}

// checkField applies the rules that Kong has for schemas themselves.
func checkField(path string, f schema.Field) error {
	var errs []error
	if n := len(f.Description); n > 0 && (n < 10 || n > 500) {
		errs = append(errs, fmt.Errorf("schema: %s: description has %d characters instead of 10 to 500", path, n))
	}
	if f.Default != nil {
		if _, err := f.Complete(path, f.Default); err != nil {
			errs = append(errs, fmt.Errorf("schema: default of %w", err))
		}
	}
	for _, sub := range f.Fields {
		errs = append(errs, checkField(path+"."+sub.Name, sub))
	}
	for part, of := range map[string]*schema.Field{"[]": f.Elements, " keys": f.Keys, " values": f.Values} {
		if of != nil {
			errs = append(errs, checkField(path+part, *of))
		}
	}
	if f.Type == "map" && (f.Keys == nil || f.Values == nil) {
		errs = append(errs, fmt.Errorf("schema: %s: a map needs keys and values", path))
	}
	return errors.Join(errs...)
}

// field returns the field of the schema's top level with that name, or nil.
func (p *pluginInfo) field(name string) *schema.Field {
	for i := range p.Schema.Fields {
		if p.Schema.Fields[i].Name == name {
			return &p.Schema.Fields[i]
		}
	}
	return nil
}

func (p *pluginInfo) has(phase string) bool { return slices.Contains(p.Phases, phase) }
