package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"m2m-token-enricher/plugin/gateway"
	"m2m-token-enricher/schema"
)

// instance is a configuration that Kong delivered. Kong starts it for each
// worker, and anew at each rebuild of its configuration. Handlers run in
// parallel.
type instance struct {
	id       int32             // of the known ones; see [instances.newID]
	identity [sha256.Size]byte // of the configuration, its secrets included
	label    string            // see name
	cfg      *schema.Config
	mistakes error            // why the configuration can't be used
	running  *gateway.Gateway // nil if it can't
	all      *instances

	keysWarning, recordsWarning warning

	started, used time.Time    // guarded by all.mu
	placed        bool         // it was or is a plugin's, or came too late for that; guarded by all.mu
	busy          atomic.Int32 // events that run
}

// newInstance returns the instance with the configuration that Kong delivers,
// not running yet. It doesn't fail on a mistake in it: Kong would answer each
// request with a 500 and the operator would never learn why. The events say it
// instead.
func newInstance(all *instances, config []byte) *instance {
	i := &instance{all: all, identity: sha256.Sum256(config), label: "invalid"}
	i.safely(func() error {
		var err error
		i.cfg, err = gateway.Validated(schema.ParseInstance(config))
		return err
	})
	if i.mistakes == nil {
		i.identity = i.cfg.Identity // without what Kong puts beside the configuration
		i.label = hex.EncodeToString(i.cfg.Fingerprint[:4])
	}
	return i
}

// run makes the instance serve.
func (i *instance) run() {
	if i.mistakes != nil {
		return
	}
	i.safely(func() error {
		var err error
		if i.running, err = i.all.open(i.cfg, i.all.options(i.cfg)); err != nil {
			return fmt.Errorf("open the configuration: %w", err)
		}
		go i.running.Warm()
		return nil
	})
}

// safely keeps what f reports, and a panic of it, as the instance's mistakes.
func (i *instance) safely(f func() error) {
	defer func() {
		if v := recover(); v != nil {
			i.mistakes = panicked(v)
		}
	}()
	i.mistakes = f()
}

// notReady tells whether the instance can't enrich.
func (i *instance) notReady() bool { return i.running == nil || i.running.NotReady() != nil }

func (i *instance) close() {
	if i.running != nil {
		_ = i.running.Close() // nothing can be done about it, and nothing depends on it
	}
}

// name is short, and the same in every process. It is shown, and so covers no
// secret: instances whose configurations differ in secrets alone have one name,
// and so have those that can't be used, in which a secret may be anywhere.
func (i *instance) name() string { return i.label }
