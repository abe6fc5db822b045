package test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Forms that the Compose Specification asks for.
var (
	composeName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	composeMount = regexp.MustCompile(`^(?:(\./[^:]+)|([a-zA-Z0-9][\w.-]*)):(/[^:]*)(?::ro|:rw)?$`)
)

// TestDeployComposeConfig: what "docker compose config" would refuse or warn
// of, and the types don't see. Unknown keys and wrong types fail to decode.
func TestDeployComposeConfig(t *testing.T) {
	text, file := read(t, "deploy/compose.yaml"), compose(t)
	if rest := strings.ReplaceAll(text, "$$", ""); strings.Contains(rest, "$") {
		t.Error("deploy/compose.yaml has a $, which compose takes for one of its own variables")
	}
	if !composeName.MatchString(file.Name) {
		t.Errorf("name %q", file.Name)
	}
	used := map[string]bool{}
	for name, s := range file.Services {
		if other, shared := strings.CutPrefix(s.NetworkMode, "service:"); shared {
			if _, ok := file.Services[other]; !ok || len(s.Ports) > 0 {
				t.Errorf("%s: network_mode %s, ports %v", name, s.NetworkMode, s.Ports)
			}
		} else if !slices.Contains([]string{"", "none", "host", "bridge"}, s.NetworkMode) {
			t.Errorf("%s: network_mode %s", name, s.NetworkMode)
		}
		for other := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which isn't there", name, other)
			}
		}
		for _, mount := range s.Volumes {
			m := composeMount.FindStringSubmatch(mount)
			if m == nil {
				t.Errorf("%s: volume %s", name, mount)
				continue
			}
			if _, declared := file.Volumes[m[2]]; m[2] != "" && !declared {
				t.Errorf("%s: volume %s isn't declared", name, m[2])
			}
			used[m[2]] = true
		}
		for _, path := range s.Tmpfs {
			if !strings.HasPrefix(path, "/") {
				t.Errorf("%s: tmpfs %s", name, path)
			}
		}
		composeHealth(t, name, s)
	}
	for name := range file.Volumes {
		if !used[name] {
			t.Errorf("nobody uses the volume %s", name)
		}
	}
}

func composeHealth(t *testing.T, name string, s composeService) {
	t.Helper()
	h := s.Healthcheck
	if h == nil {
		return
	}
	if len(h.Test) < 2 || h.Test[0] != "CMD" && (h.Test[0] != "CMD-SHELL" || len(h.Test) != 2) {
		t.Errorf("%s: healthcheck %q", name, h.Test)
	}
	for _, text := range []string{h.Interval, h.Timeout} {
		if d, err := time.ParseDuration(text); err != nil || d <= 0 {
			t.Errorf("%s: a healthcheck's time is %q", name, text)
		}
	}
	if h.Retries <= 0 {
		t.Errorf("%s: %d retries", name, h.Retries)
	}
}
