package kongtest

import (
	"cmp"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"sigs.k8s.io/yaml"
)

// declarative is the part of Kong's declarative configuration that the
// stand-in knows. Decoding is strict: an unknown field is an error.
type declarative struct {
	FormatVersion string        `json:"_format_version"`
	Services      []serviceSpec `json:"services"`
}

type serviceSpec struct {
	Name           string       `json:"name"`
	URL            string       `json:"url"`
	ConnectTimeout int          `json:"connect_timeout"` // milliseconds, zero means 60000
	ReadTimeout    int          `json:"read_timeout"`    // milliseconds, zero means 60000
	Routes         []routeSpec  `json:"routes"`
	Plugins        []pluginSpec `json:"plugins"`
}

type routeSpec struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Paths     []string     `json:"paths"`
	Headers   routeHeaders `json:"headers"`    // values by name; the request has one of each
	StripPath *bool        `json:"strip_path"` // nil means true
	Plugins   []pluginSpec `json:"plugins"`
}

type routeHeaders map[string][]string

type pluginSpec struct {
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Config map[string]any `json:"config"`
}

func parseDeclarative(config []byte) (*declarative, error) {
	d := &declarative{}
	if err := yaml.UnmarshalStrict(config, d); err != nil {
		return nil, fmt.Errorf("declarative config is invalid or beyond the stand-in: %w", err)
	}
	if !strings.HasPrefix(d.FormatVersion, "3.") {
		return nil, fmt.Errorf("declarative config is invalid: _format_version: %q is not supported", d.FormatVersion)
	}
	return d, nil
}

// complete fills the defaults of a service and returns its parsed URL.
func (s *serviceSpec) complete() (*url.URL, error) {
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, 60000)
	s.ReadTimeout = cmp.Or(s.ReadTimeout, 60000)
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("service %q: url: %w", s.Name, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("service %q: protocol: expected one of: http, https", s.Name)
	case u.Host == "":
		return nil, fmt.Errorf("service %q: host: required field missing", s.Name)
	case u.Path != "":
		return nil, fmt.Errorf("service %q: path: a path is beyond the stand-in", s.Name)
	}
	return u, nil
}

func (r routeSpec) check() error {
	if len(r.Paths) == 0 {
		return errors.New("must set one of 'methods', 'paths'; methods are beyond the stand-in")
	}
	if r.StripPath == nil || *r.StripPath {
		return errors.New("strip_path: true is beyond the stand-in")
	}
	return nil
}

// entityID derives the stable identifier that an entity of a declarative
// configuration gets, in the form of a UUID of version 5 (RFC 9562).
func entityID(kind, name string) string {
	sum := sha1.Sum([]byte("kongtest:" + kind + ":" + name))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
