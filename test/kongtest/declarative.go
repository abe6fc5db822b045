package kongtest

import (
	"cmp"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// declarative is the part of Kong's declarative configuration that the
// stand-in knows. Decoding is strict: what it would ignore is an error.
type declarative struct {
	FormatVersion string        `json:"_format_version"`
	Transform     bool          `json:"_transform"`
	Services      []serviceSpec `json:"services"`
	Routes        []routeSpec   `json:"routes"`
	Plugins       []pluginSpec  `json:"plugins"`
}

type serviceSpec struct {
	ID             string       `json:"id"`
	Name           string       `json:"name"`
	URL            string       `json:"url"`
	Protocol       string       `json:"protocol"`
	Host           string       `json:"host"`
	Port           int          `json:"port"`
	Path           string       `json:"path"`
	ConnectTimeout int          `json:"connect_timeout"` // milliseconds, zero means 60000
	WriteTimeout   int          `json:"write_timeout"`   // milliseconds, zero means 60000
	ReadTimeout    int          `json:"read_timeout"`    // milliseconds, zero means 60000
	Retries        int          `json:"retries"`
	Tags           []string     `json:"tags"`
	Routes         []routeSpec  `json:"routes"`
	Plugins        []pluginSpec `json:"plugins"`
}

type routeSpec struct {
	ID                      string       `json:"id"`
	Name                    string       `json:"name"`
	Service                 string       `json:"service"` // of a route at the top level
	Paths                   []string     `json:"paths"`
	Methods                 []string     `json:"methods"`
	Protocols               []string     `json:"protocols"`
	StripPath               *bool        `json:"strip_path"` // nil means true
	PreserveHost            bool         `json:"preserve_host"`
	RegexPriority           int          `json:"regex_priority"`
	HTTPSRedirectStatusCode int          `json:"https_redirect_status_code"`
	Tags                    []string     `json:"tags"`
	Plugins                 []pluginSpec `json:"plugins"`
}

type pluginSpec struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	InstanceName string         `json:"instance_name"`
	Service      string         `json:"service"` // of a plugin at the top level
	Route        string         `json:"route"`   // of a plugin at the top level
	Consumer     *string        `json:"consumer"`
	Enabled      *bool          `json:"enabled"` // nil means true
	Protocols    []string       `json:"protocols"`
	Tags         []string       `json:"tags"`
	Config       map[string]any `json:"config"`
}

func parseDeclarative(config []byte) (*declarative, error) {
	d := &declarative{}
	if err := yaml.UnmarshalStrict(config, d); err != nil {
		return nil, fmt.Errorf("declarative config is invalid or beyond the stand-in: %w", err)
	}
	if d.FormatVersion == "" {
		return nil, errors.New("declarative config is invalid: _format_version: required field missing")
	}
	if !strings.HasPrefix(d.FormatVersion, "3.") {
		return nil, fmt.Errorf("declarative config is invalid: _format_version: %q is not supported", d.FormatVersion)
	}
	return d, nil
}

// complete fills the defaults of a service, which may be written as one URL.
func (s *serviceSpec) complete() error {
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil {
			return fmt.Errorf("service %q: url: %w", s.Name, err)
		}
		s.Protocol, s.Host, s.Path = u.Scheme, u.Hostname(), u.EscapedPath()
		s.Port, _ = strconv.Atoi(u.Port())
	}
	s.Protocol = cmp.Or(s.Protocol, "http")
	if s.Protocol != "http" && s.Protocol != "https" {
		return fmt.Errorf("service %q: protocol: expected one of: http, https", s.Name)
	}
	if s.Host == "" {
		return fmt.Errorf("service %q: host: required field missing", s.Name)
	}
	if s.Path != "" && !strings.HasPrefix(s.Path, "/") {
		return fmt.Errorf("service %q: path: should start with: /", s.Name)
	}
	s.Port = cmp.Or(s.Port, defaultPort(s.Protocol))
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, 60000)
	s.WriteTimeout = cmp.Or(s.WriteTimeout, 60000)
	s.ReadTimeout = cmp.Or(s.ReadTimeout, 60000)
	s.ID = cmp.Or(s.ID, entityID("services", cmp.Or(s.Name, s.Host)))
	return nil
}

func defaultPort(protocol string) int {
	if protocol == "https" {
		return 443
	}
	return 80
}

// entityID derives the stable identifier that an entity of a declarative
// configuration gets, in the form of a UUID of version 5 (RFC 9562).
func entityID(kind, name string) string {
	sum := sha1.Sum([]byte("kongtest:" + kind + ":" + name))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
