package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source is asked at each scrape.
type Source interface {
	// States returns the states of the running configurations.
	States() []State
	// Instances returns how many instances Kong has started.
	Instances() int
	// Missed returns how many tokens are missing in the audit log.
	Missed() uint64
}

var (
	instances = describe("instances", "Plugin instances that Kong has started, each configuration once.")
	missed    = describe("audit_missed_total", "Tokens that were issued but are missing in the audit log.")
	ready     = describe("ready", "1 if the configuration can enrich tokens: it has a signing key and the provider's keys.", "config", "issuer")
	hits      = describe("cache_hits_total", "Lookups answered from memory.", "config")
	misses    = describe("cache_misses_total", "Lookups that asked Redis, or waited for one that did.", "config")
	stale     = describe("cache_stale_total", "Lookups answered from memory because Redis didn't answer.", "config")
	entries   = describe("cache_entries", "Cached records.", "config")
	size      = describe("cache_bytes", "Memory of the cached records, in bytes.", "config")
	failures  = describe("redis_errors_total", "Lookups that Redis didn't answer, by kind.", "config", "kind")
	setAge    = describe("provider_keys_age_seconds", "Time since the provider's keys were fetched.", "config")
	setFailed = describe("provider_keys_failures_total", "Fetches of the provider's keys that failed.", "config")
	setFaulty = describe("provider_keys_skipped", "Keys of the provider's set that can't be used. Keys for encryption don't count.", "config")
	calls     = describe("provider_calls_total", "Calls to the provider for tokens: made, or saved by giving an answer again.", "config", "call")
	held      = describe("reuse_entries", "Answers that may be given again.", "config")
	heldSize  = describe("reuse_bytes", "Memory that reuse takes, in bytes.", "config")
	unshared  = describe("reuse_shared_errors_total", "Shared answers that couldn't be read from Redis, decrypted or written there.", "config")
	ringKey   = describe("signing_key", "The gateway's keys; always 1.", "config", "kid", "alg", "role")
	ringAge   = describe("key_file_age_seconds", "Time since the file of the key ring was changed.", "config")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("m2m_"+name, help, labels, nil)
}

// collector reads a source at each scrape.
type collector struct{ source Source }

// Describe implements [prometheus.Collector]. It says nothing, because the labels
// differ from scrape to scrape.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge(out, instances, float64(c.source.Instances()))
	counter(out, missed, c.source.Missed())
	for _, s := range c.source.States() {
		s.collect(out, time.Now())
	}
}

func (s State) collect(out chan<- prometheus.Metric, now time.Time) {
	canEnrich := 0.0
	if s.NotReady == nil {
		canEnrich = 1
	}
	gauge(out, ready, canEnrich, s.Config, s.Issuer)
	counter(out, hits, s.Cache.Hits, s.Config)
	counter(out, misses, s.Cache.Misses, s.Config)
	counter(out, stale, s.Cache.Stale, s.Config)
	gauge(out, entries, float64(s.Cache.Entries), s.Config)
	gauge(out, size, float64(s.Cache.Bytes), s.Config)
	for kind, n := range s.Cache.Errors {
		counter(out, failures, n, s.Config, kind)
	}
	if !s.ProviderKeys.IsZero() {
		gauge(out, setAge, now.Sub(s.ProviderKeys).Seconds(), s.Config)
	}
	counter(out, setFailed, s.ProviderFailed, s.Config)
	gauge(out, setFaulty, float64(s.ProviderFaulty), s.Config)
	if s.Reuse != nil {
		s.Reuse.collect(out, s.Config)
	}
	for _, k := range s.Keys {
		gauge(out, ringKey, 1, s.Config, k.ID, k.Algorithm, k.Role)
	}
	if !s.KeyFile.IsZero() {
		gauge(out, ringAge, now.Sub(s.KeyFile).Seconds(), s.Config)
	}
}

func (r *Reuse) collect(out chan<- prometheus.Metric, config string) {
	counter(out, calls, r.Made, config, "made")
	counter(out, calls, r.Saved, config, "saved")
	gauge(out, held, float64(r.Entries), config)
	gauge(out, heldSize, float64(r.Bytes), config)
	counter(out, unshared, r.SharedErrors, config)
}

func gauge(out chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func counter(out chan<- prometheus.Metric, desc *prometheus.Desc, n uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
}
