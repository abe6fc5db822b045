// Package metrics shows Prometheus what the plugin does. Its labels are bounded: an
// outcome, a step, a configuration, a key; never a client.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts and measures. Safe for concurrent use. A nil *Metrics does nothing.
type Metrics struct {
	source   Source
	registry *prometheus.Registry
	outcomes *prometheus.CounterVec
	handlers latencies
	steps    latencies
}

// latencies are the series of a histogram by the values of its one label, looked up
// once instead of for each token.
type latencies map[string]func() prometheus.Observer

func series(h *prometheus.HistogramVec, values ...string) latencies {
	l := latencies{}
	for _, value := range values {
		observer := h.WithLabelValues(value)
		l[value] = func() prometheus.Observer { return observer }
	}
	return l
}

// rare adds a series that is there only after its first observation.
func (l latencies) rare(h *prometheus.HistogramVec, value string) latencies {
	l[value] = sync.OnceValue(func() prometheus.Observer { return h.WithLabelValues(value) })
	return l
}

func (l latencies) observe(value string, took time.Duration) {
	if observer := l[value]; observer != nil {
		observer().Observe(took.Seconds())
	}
}

// buckets go from the time of a cheap event to the longest wait of a handler, in s.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

// Build says what runs, for the metric build_info.
type Build struct{ Version, Go, Signatures string }

// New returns metrics, with those of source.
func New(build Build, source Source) *Metrics {
	handlers := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "m2m_handler_seconds",
		Help: "Time that a handler took, Kong's answers included.", Buckets: buckets}, []string{"phase"})
	steps := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "m2m_step_seconds",
		Help: "Time that a step of an exchange took: verify, lookup, workflow or sign.", Buckets: buckets}, []string{"step"})
	m := &Metrics{
		source:   source,
		registry: prometheus.NewRegistry(),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "m2m_outcomes_total",
			Help: "Exchanges by their outcome and by what was done: refuse, pass or replace."}, []string{"config", "outcome", "action"}),
		handlers: series(handlers, "access", "response"),
		steps:    series(steps, "verify", "lookup", "sign").rare(steps, "workflow"),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "m2m_build_info", Help: "What runs; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "go": build.Go, "signatures": build.Signatures}})
	info.Set(1)
	m.registry.MustRegister(m.outcomes, handlers, steps, info, collector{source},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Outcome counts an exchange. requestID is Kong's, and becomes the exemplar; it is ""
// unless the exchange failed.
func (m *Metrics) Outcome(config, outcome, action, requestID string) {
	if m == nil {
		return
	}
	counter := m.outcomes.WithLabelValues(config, outcome, action)
	if adder, ok := counter.(prometheus.ExemplarAdder); ok && requestID != "" {
		adder.AddWithExemplar(1, prometheus.Labels{"request_id": requestID})
		return
	}
	counter.Inc()
}

// Handler measures a handler of phase, access or response.
func (m *Metrics) Handler(phase string, took time.Duration) {
	if m != nil {
		m.handlers.observe(phase, took)
	}
}

// Step measures a step of an exchange: verify, lookup, workflow or sign.
func (m *Metrics) Step(step string, took time.Duration) {
	if m != nil {
		m.steps.observe(step, took)
	}
}

// Forget drops the counts of a configuration that was closed.
func (m *Metrics) Forget(config string) {
	if m != nil {
		m.outcomes.DeletePartialMatch(prometheus.Labels{"config": config})
	}
}

// scrapes answers scrapes, in OpenMetrics if Prometheus asks for it.
func (m *Metrics) scrapes() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
