package kongtest

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"m2m-token-enricher/schema"
)

// generation is everything that one declarative configuration brings into
// being. Reload replaces it as a whole; requests keep the one they began with.
type generation struct {
	router   *router
	services []*service
}

// close releases the idle connections to the services.
func (g *generation) close() {
	for _, s := range g.services {
		s.transport.CloseIdleConnections()
	}
}

// builder turns a declarative configuration into a generation.
type builder struct {
	gateway  *StandIn
	services map[string]*service // by name
	routes   []*route
	plugins  []*pluginConfig
	mistakes []error
}

func (s *StandIn) newGeneration(config []byte) (*generation, error) {
	d, err := parseDeclarative(config)
	if err != nil {
		return nil, err
	}
	b := &builder{gateway: s, services: map[string]*service{}}
	g := &generation{}
	for _, spec := range d.Services {
		g.services = append(g.services, b.service(spec))
	}
	for _, spec := range d.Routes {
		b.route(spec, b.services[spec.Service])
	}
	for _, spec := range d.Plugins {
		b.topPlugin(spec)
	}
	router, err := newRouter(b.routes)
	b.mistake(err)
	if err := errors.Join(b.mistakes...); err != nil {
		return nil, fmt.Errorf("declarative config is invalid: %w", err)
	}
	g.router = router
	for _, r := range b.routes {
		r.plugin = mostSpecific(b.plugins, r)
	}
	return g, nil
}

func (b *builder) mistake(err error) {
	if err != nil {
		b.mistakes = append(b.mistakes, err)
	}
}

func (b *builder) service(spec serviceSpec) *service {
	b.mistake(spec.complete())
	svc := &service{serviceSpec: spec, transport: newTransport(spec)}
	if b.services[spec.Name] != nil {
		b.mistake(fmt.Errorf("service %q: uniqueness violation", spec.Name))
	}
	if spec.Name != "" {
		b.services[spec.Name] = svc
	}
	for _, r := range spec.Routes {
		b.route(r, svc)
	}
	for _, p := range spec.Plugins {
		b.plugin(p, nil, svc)
	}
	return svc
}

func (b *builder) route(spec routeSpec, svc *service) {
	if svc == nil {
		b.mistake(fmt.Errorf("route %q: no service %q; a route without one is beyond the stand-in", spec.Name, spec.Service))
		return
	}
	if b.routeNamed(spec.Name) != nil {
		b.mistake(fmt.Errorf("route %q: uniqueness violation", spec.Name))
	}
	if len(spec.Protocols) == 0 {
		spec.Protocols = []string{"http", "https"}
	}
	for _, p := range spec.Protocols {
		if p != "http" && p != "https" {
			b.mistake(fmt.Errorf("route %q: protocols: expected one of: http, https", spec.Name))
		}
	}
	spec.HTTPSRedirectStatusCode = cmp.Or(spec.HTTPSRedirectStatusCode, http.StatusUpgradeRequired)
	spec.ID = cmp.Or(spec.ID, entityID("routes", cmp.Or(spec.Name, fmt.Sprint(len(b.routes)))))
	r := &route{routeSpec: spec, service: svc, strip: spec.StripPath == nil || *spec.StripPath}
	b.routes = append(b.routes, r)
	for _, p := range spec.Plugins {
		b.plugin(p, r, nil)
	}
}

func (b *builder) routeNamed(name string) *route {
	i := slices.IndexFunc(b.routes, func(r *route) bool { return name != "" && r.Name == name })
	if i < 0 {
		return nil
	}
	return b.routes[i]
}

func (b *builder) topPlugin(spec pluginSpec) {
	r, svc := b.routeNamed(spec.Route), b.services[spec.Service]
	if spec.Route != "" && r == nil {
		b.mistake(fmt.Errorf("plugin %q: no route %q", spec.Name, spec.Route))
	}
	if spec.Service == "" {
		svc = nil
	} else if svc == nil {
		b.mistake(fmt.Errorf("plugin %q: no service %q", spec.Name, spec.Service))
	}
	b.plugin(spec, r, svc)
}

// plugin checks one plugin's configuration and fills in its defaults.
func (b *builder) plugin(spec pluginSpec, r *route, svc *service) {
	info := b.gateway.info
	if info == nil || spec.Name != info.Name {
		b.mistake(fmt.Errorf("plugin %q: plugin '%s' not enabled; add it to the 'plugins' configuration property "+
			"(the stand-in has no plugin but the one under test)", spec.Name, spec.Name))
		return
	}
	p := &pluginConfig{info: info, route: r, service: svc}
	if spec.Consumer != nil {
		b.mistake(fmt.Errorf("plugin %q: consumer: value must be null", spec.Name))
	}
	if f := info.field("protocols"); f != nil && len(spec.Protocols) > 0 {
		_, err := f.Complete("protocols", anySlice(spec.Protocols))
		b.mistake(err)
	}
	completed, err := completeConfig(*info.field("config"), spec.Config)
	if err != nil {
		b.mistake(fmt.Errorf("plugin %q%s: %w", spec.Name, p.scope(), err))
		return
	}
	if spec.Enabled != nil && !*spec.Enabled {
		return
	}
	for _, other := range b.plugins {
		if other.route == r && other.service == svc {
			b.mistake(fmt.Errorf("plugin %q%s: uniqueness violation", spec.Name, p.scope()))
		}
	}
	p.deliver(b.gateway, cmp.Or(spec.ID, entityID("plugins", spec.Name+p.scope())), completed)
	b.plugins = append(b.plugins, p)
}

func completeConfig(f schema.Field, given map[string]any) (map[string]any, error) {
	if given == nil {
		given = map[string]any{}
	}
	f.Required = true // the record itself; its fields decide what is missing
	done, err := f.Complete("config", given)
	if err != nil {
		return nil, err
	}
	return resolveRecord(f, done.(map[string]any)), nil
}

func anySlice(list []string) []any {
	done := make([]any, len(list))
	for i, s := range list {
		done[i] = s
	}
	return done
}

// mostSpecific picks the plugin that applies to r: its own before its
// service's before the global one.
func mostSpecific(plugins []*pluginConfig, r *route) (best *pluginConfig) {
	rank := -1
	for _, p := range plugins {
		if p.route != nil && p.route != r || p.service != nil && p.service != r.service {
			continue
		}
		n := 0
		if p.service != nil {
			n++
		}
		if p.route != nil {
			n += 2
		}
		if n > rank {
			best, rank = p, n
		}
	}
	return best
}

func newTransport(spec serviceSpec) *http.Transport {
	dialer := &net.Dialer{Timeout: milliseconds(spec.ConnectTimeout)}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true}, // tls_verify is off in Kong, too
		TLSHandshakeTimeout:   milliseconds(spec.ConnectTimeout),
		ResponseHeaderTimeout: milliseconds(spec.ReadTimeout),
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   512,
		DisableCompression:    true, // the plugin must see the upstream's bytes
	}
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
