package test

import (
	"m2m-token-enricher/test/redistest"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

type composeFile struct {
	Name     string                    `json:"name"`
	Hardened any                       `json:"x-hardened"`
	Kong     any                       `json:"x-kong"`
	Services map[string]composeService `json:"services"`
	Volumes  map[string]any            `json:"volumes"`
}

type composeService struct {
	Image string `json:"image"`
	Build *struct {
		Context    string `json:"context"`
		Dockerfile string `json:"dockerfile"`
	} `json:"build"`
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	CapAdd      []string `json:"cap_add"`
	SecurityOpt []string `json:"security_opt"`
	User        string   `json:"user"`
	NetworkMode string   `json:"network_mode"`
	DependsOn   map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Environment map[string]string `json:"environment"`
	Entrypoint  []string          `json:"entrypoint"`
	Command     []string          `json:"command"`
	Volumes     []string          `json:"volumes"`
	Tmpfs       []string          `json:"tmpfs"`
	Ports       []string          `json:"ports"`
	Healthcheck *struct {
		Test     []string `json:"test"`
		Interval string   `json:"interval"`
		Timeout  string   `json:"timeout"`
		Retries  int      `json:"retries"`
	} `json:"healthcheck"`
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	decode(t, "deploy/compose.yaml", &file)
	return file
}

// TestDeployCompose: what a service refers to is there, and nothing has more
// rights than it needs.
func TestDeployCompose(t *testing.T) {
	file := compose(t)
	expect(t, "services", slices.Sorted(maps.Keys(file.Services)), []string{"keys", "kong", "records", "redis", "stub"})
	for name, s := range file.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s isn't hardened", name)
		}
		if pinned := regexp.MustCompile(`^[a-z0-9-]+:[a-z-]*\d[\w.-]*$`); s.Image != "" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: %s isn't pinned", name, s.Image)
		}
		if s.Build != nil {
			exists(t, filepath.Join("deploy", s.Build.Context, s.Build.Dockerfile))
		} else if s.Image == "" {
			t.Errorf("%s has no image", name)
		}
		for other, on := range s.DependsOn {
			once := file.Services[other].Entrypoint != nil
			want := map[bool]string{true: "service_completed_successfully", false: "service_healthy"}[once]
			if on.Condition != want || (!once && file.Services[other].Healthcheck == nil) {
				t.Errorf("%s depends on %s: %s", name, other, on.Condition)
			}
		}
		for _, mount := range s.Volumes {
			source, at, _ := strings.Cut(mount, ":")
			if _, ok := file.Volumes[source]; !ok {
				exists(t, filepath.Join("deploy", source))
			}
			if !strings.HasSuffix(at, ":ro") && name != "keys" {
				t.Errorf("%s may write to %s", name, mount)
			}
		}
		if want := map[string][]string{"kong": {"127.0.0.1:8000:8000"}}[name]; !slices.Equal(s.Ports, want) {
			t.Errorf("%s has the ports %v", name, s.Ports)
		}
	}
	expect(t, "the stub's network", file.Services["stub"].NetworkMode, "service:kong")
	stub, config := read(t, "test/stub/main.go"), read(t, "deploy/compose/kong.yml")
	for option, address := range map[string]string{"provider": "127.0.0.1:9001", "api": "127.0.0.1:9002"} {
		if !strings.Contains(stub, `"`+option+`", "`+address+`"`) || !strings.Contains(config, "  url: http://"+address+" #") {
			t.Errorf("stub and kong.yml don't agree on the address of the %s", option)
		}
	}
	if !strings.Contains(stub, `"jwks", "http://127.0.0.1:8000/m2m/jwks.json"`) {
		t.Error("the stub's API doesn't trust Kong's keys")
	}
	expect(t, "the stub's check", file.Services["stub"].Healthcheck.Test, []string{"CMD", "/stub", "-check"})
}

// TestDeployComposeKong: Kong is told what the README says, and finds what the
// other services make.
func TestDeployComposeKong(t *testing.T) {
	file := compose(t)
	kong, redis := file.Services["kong"], file.Services["redis"]
	want := map[string]string{
		"KONG_DATABASE": "off", "KONG_DECLARATIVE_CONFIG": "/etc/kong/kong.yml", "KONG_PREFIX": elsewhere, "KONG_ADMIN_LISTEN": "off",
		"KONG_ADMIN_GUI_LISTEN": "off", "KONG_NGINX_WORKER_PROCESSES": "2", "REDIS_PASSWORD": redistest.ReaderPassword,
	}
	for name, value := range kongConf(t, elsewhere) {
		want["KONG_"+strings.ToUpper(name)] = value
	}
	expect(t, "Kong's environment", kong.Environment, want)
	expect(t, "Kong's files", kong.Volumes, []string{"./compose/kong.yml:/etc/kong/kong.yml:ro", "keys:" + filepath.Dir(keyFile) + ":ro"})
	expect(t, "where Kong writes", kong.Tmpfs, []string{elsewhere, "/tmp"})
	expect(t, "the key's volume", file.Services["keys"].Volumes, []string{"keys:" + filepath.Dir(keyFile)})
	expect(t, "the key", file.Services["keys"].Command[0], "test -e "+keyFile+" || m2m-token-enricher keys generate "+keyFile+"\nchown kong "+keyFile+"\n")
	expect(t, "the records' configuration", file.Services["records"].Volumes, kong.Volumes[:1])
	expect(t, "who writes records", file.Services["records"].Environment,
		map[string]string{"M2M_REDIS_USERNAME": redistest.Writer, "M2M_REDIS_PASSWORD": redistest.WriterPassword})

	expect(t, "users.acl", read(t, "deploy/compose/users.acl"), "user default off\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Reader), " ")+"\n"+
		"user "+strings.Join(redistest.ACL(t, redistest.Writer), " ")+"\n")
	expect(t, "Redis's files", redis.Volumes, []string{"./compose/users.acl:" + redis.Command[2] + ":ro"})
	expect(t, "Redis's options", redis.Command, []string{"redis-server", "--aclfile", "/etc/redis/users.acl", "--save", "", "--appendonly", "no"})
	expect(t, "Redis's check", redis.Healthcheck.Test[1],
		"REDISCLI_AUTH="+redistest.ReaderPassword+" redis-cli --user "+redistest.Reader+" ping | grep -q PONG")
}

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
