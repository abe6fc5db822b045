package kongtest

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"m2m-token-enricher/schema"
)

// generation is built from one declarative configuration. Reload replaces it as a
// whole; requests keep the one they began with.
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
	gateway *StandIn
	routes  []*route
	errs    []error
}

func (s *StandIn) newGeneration(config []byte) (*generation, error) {
	d, err := parseDeclarative(config)
	if err != nil {
		return nil, err
	}
	b, g := &builder{gateway: s}, &generation{}
	for _, spec := range d.Services {
		g.services = append(g.services, b.service(spec))
	}
	g.router, err = newRouter(b.routes)
	if err := errors.Join(append(b.errs, err)...); err != nil {
		return nil, fmt.Errorf("declarative config is invalid: %w", err)
	}
	return g, nil
}

func (b *builder) service(spec serviceSpec) *service {
	u, err := spec.complete()
	b.errs = append(b.errs, err)
	id := entityID("services", cmp.Or(spec.Name, spec.URL))
	svc := &service{id: id, url: u, readTimeout: milliseconds(spec.ReadTimeout), transport: newTransport(spec)}
	shared := b.plugin(spec.Plugins, "service_id", id)
	for _, r := range spec.Routes {
		b.route(r, svc, shared)
	}
	return svc
}

// route adds a route of svc, whose plugin is shared unless it has its own.
func (b *builder) route(spec routeSpec, svc *service, shared *pluginConfig) {
	if err := spec.check(); err != nil {
		b.errs = append(b.errs, fmt.Errorf("route %q: %w", spec.Name, err))
	}
	id := cmp.Or(spec.ID, entityID("routes", cmp.Or(spec.Name, fmt.Sprint(len(b.routes)))))
	own := b.plugin(spec.Plugins, "route_id", id)
	b.routes = append(b.routes, &route{routeSpec: spec, id: id, service: svc, plugin: cmp.Or(own, shared)})
}

// plugin checks the one plugin of the entity called owner and fills in its
// defaults. It returns nil if there is none.
func (b *builder) plugin(specs []pluginSpec, scope, owner string) *pluginConfig {
	if len(specs) == 0 {
		return nil
	}
	spec, info := specs[0], b.gateway.info
	if len(specs) > 1 || info == nil || spec.Name != info.Name {
		b.errs = append(b.errs, fmt.Errorf("plugin %q: not enabled; the stand-in has the plugin under test, once for each service and route", spec.Name))
		return nil
	}
	config, err := completeConfig(*info.field("config"), spec.Config)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("plugin %q: %w", spec.Name, err))
		return nil
	}
	p := &pluginConfig{info: info}
	config[scope] = owner
	p.deliver(b.gateway, cmp.Or(spec.ID, entityID("plugins", spec.Name+owner)), config)
	return p
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

// service is an upstream.
type service struct {
	id          string
	url         *url.URL
	readTimeout time.Duration
	transport   *http.Transport
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
