package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/plugin/pdk"
	"m2m-token-enricher/schema"
)

// instance is a configuration that Kong delivered. Kong starts it for each
// worker, and again at each rebuild of its configuration. Handlers run in
// parallel.
type instance struct {
	all      *instances
	id       int32             // see [instances.newID]
	identity [sha256.Size]byte // of the configuration, its secrets included, and of scope
	scope    scope             // of the configuration, none unless its answers may be given again

	// name is short, and the same in every process. It is shown, so it covers no
	// secret: instances whose configurations differ in secrets alone share a name,
	// and so do those that can't be used, in which a secret may be anywhere.
	name string

	cfg     *schema.Config
	invalid error            // why the configuration can't be used
	gateway *gateway.Gateway // nil if it can't

	questions questions

	keysWarning, providerWarning, recordsWarning, tokensWarning, reuseWarning warning

	started, used time.Time        // guarded by all.mu
	plugins       map[string]int64 // Kong's plugins with it; see delivered; guarded by all.mu
	busy          atomic.Int32     // events that run
}

// newInstance returns the instance with the configuration that Kong delivers, not
// open yet. It doesn't fail on an invalid one: Kong would answer each request with
// a 500 and the operator would never learn why. The events say it instead.
func newInstance(all *instances, config []byte) *instance {
	i := &instance{all: all, identity: sha256.Sum256(config), name: "invalid", plugins: map[string]int64{}}
	i.try(func() error {
		var err error
		i.cfg, err = gateway.Validated(schema.ParseInstance(config))
		return err
	})
	if i.invalid == nil {
		i.identity = i.cfg.Identity // without what Kong puts beside the configuration
		i.name = hex.EncodeToString(i.cfg.Fingerprint[:4])
		if i.cfg.Reuse.Enabled {
			i.scope = scopeOf(config)
			i.identity = sha256.Sum256(append(i.identity[:], i.scope.String()...))
		}
	}
	return i
}

// open opens the gateway.
func (i *instance) open(options func(*schema.Config) gateway.Options) {
	if i.invalid != nil {
		return
	}
	o := options(i.cfg)
	o.Scoped = !i.scope.none()
	i.try(func() error {
		var err error
		if i.gateway, err = i.all.open(i.cfg, o); err != nil {
			return fmt.Errorf("open the configuration: %w", err)
		}
		i.questions = i.all.questions(i.gateway, i.scope)
		return nil
	})
}

// warm reads the keys ahead of the first token.
func (i *instance) warm() {
	if i.gateway != nil {
		go i.gateway.Warm()
	}
}

// try makes the instance invalid if f fails or panics.
func (i *instance) try(f func() error) {
	defer func() {
		if v := recover(); v != nil {
			i.invalid = panicked(v)
		}
	}()
	i.invalid = f()
}

// delivered records for which plugin of Kong's the configuration was delivered,
// and Kong's number of that delivery.
func (i *instance) delivered(config []byte) {
	var d struct {
		Plugin   string `json:"__plugin_id"`
		Sequence int64  `json:"__seq__"` // grows with each rebuild, and differs per worker
	}
	_ = json.Unmarshal(config, &d) // an invalid configuration replaces none
	if d.Plugin != "" {
		i.plugins[d.Plugin] = max(i.plugins[d.Plugin], d.Sequence)
	}
}

// status is what Kong learns of the instance.
func (i *instance) status() pdk.Instance { return pdk.Instance{ID: i.id, Started: i.started} }

// notReady reports whether the instance can't enrich.
func (i *instance) notReady() bool { return i.gateway == nil || i.gateway.NotReady() != nil }

func (i *instance) close() {
	if i.gateway != nil {
		_ = i.gateway.Close() // nothing depends on it
	}
}
