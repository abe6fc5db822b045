package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// target is the Redis and the prefix of records. They come from the plugin's
// configuration. Flags and the environment override it.
type target struct {
	file, issuer string

	host, username, passwordFile, prefix, caFile string
	port, database                               int
	ssl                                          bool
	withoutRedis                                 bool // the command asks none

	runsWorkflow bool         // the command runs the workflow of the configuration
	fields       []string     // of the configuration that the command reads; nil means all
	names        schema.Names // of properties that have a meaning; set by store
	allRoutes    bool         // Kong runs the plugin on every route; set by configs
}

// Passwords come from files or from the environment, never from a flag, which
// everybody on the machine could read.
const (
	usernameVariable = "M2M_REDIS_USERNAME"
	passwordVariable = "M2M_REDIS_PASSWORD"
)

// patience is how many ms commands wait for Redis at least.
const patience = 5000

// fileFlags are the flags that choose the configuration.
func (t *target) fileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "c", Destination: &t.file, Usage: "Use the plugin's configuration in this `KONG_YML`, with its Redis"},
		&cli.StringFlag{Name: "issuer", Destination: &t.issuer, Usage: "Use the configuration of this `ISSUER`, if the file has several"},
	}
}

func (t *target) flags() []cli.Flag {
	return append(t.fileFlags(),
		&cli.StringFlag{Name: "host", Destination: &t.host, Usage: "Use the Redis server on this `HOST` instead of the configured Redis"},
		&cli.IntFlag{Name: "port", Destination: &t.port, HideDefault: true, Usage: "The `PORT` of that server"},
		&cli.IntFlag{Name: "database", Destination: &t.database, Value: -1, HideDefault: true, Usage: "The `NUMBER` of the database"},
		&cli.StringFlag{Name: "username", Destination: &t.username, Usage: "The ACL `USER`; also in " + usernameVariable},
		&cli.StringFlag{Name: "password-file", Destination: &t.passwordFile, Usage: "Read the password from this `FILE`; the password itself may be in " + passwordVariable},
		&cli.StringFlag{Name: "prefix", Destination: &t.prefix, Usage: "Every key starts with this `PREFIX`, which ends in a separator such as a colon"},
		&cli.BoolFlag{Name: "ssl", Destination: &t.ssl, HideDefault: true, Usage: "Connect with TLS"},
		&cli.StringFlag{Name: "ca-file", Destination: &t.caFile, Usage: "Trust the CAs in this PEM `FILE` instead of the configured ones"})
}

// store returns the records, and the configuration if a file has one. The
// caller must close the store.
func (t *target) store() (*records.Store, *schema.Config, error) {
	configs, err := t.configs()
	if err != nil {
		return nil, nil, err
	}
	cfg := first(configs)
	t.names = schema.NamesOf(configs...)
	redis, err := t.redis(cfg)
	if err != nil {
		return nil, nil, err
	}
	prefix, err := t.validPrefix(cfg)
	if err != nil {
		return nil, nil, err
	}
	return records.Open(redis, prefix, t.names), cfg, nil
}

// validPrefix returns the prefix of the flag or, without one, of the configuration.
func (t *target) validPrefix(cfg *schema.Config) (string, error) {
	if t.prefix != "" {
		if err := schema.ValidPrefix(t.prefix); err != nil {
			return "", usageError{fmt.Errorf("--prefix %q: %w", t.prefix, err)}
		}
		return t.prefix, nil
	}
	if cfg == nil {
		return "", usageError{errors.New("-c KONG_YML or --prefix is needed")}
	}
	return cfg.Prefix, nil
}

// overridden returns the configuration in the file with the Redis and the prefix
// of the flags and the environment.
func (t *target) overridden() (*schema.Config, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		return nil, usageError{errors.New("-c KONG_YML is needed")}
	}
	return t.override(cfg)
}

// override returns cfg with the Redis and the prefix of the flags and the
// environment, and with what the environment gives to a workflow.
func (t *target) override(cfg *schema.Config) (*schema.Config, error) {
	changed := *cfg
	var err error
	if changed.Workflow.Env, err = resolvedEnv(cfg.Workflow.Env); err != nil || t.withoutRedis {
		return &changed, err
	}
	if changed.Redis, err = t.redis(cfg); err != nil {
		return nil, err
	}
	changed.Prefix, err = t.validPrefix(cfg)
	return &changed, err
}

// config returns the configuration in the file, nil without a file.
func (t *target) config() (*schema.Config, error) {
	configs, err := t.configs()
	return first(configs), err
}

// first returns the first of configs, nil if there is none.
func first(configs []*schema.Config) *schema.Config {
	if len(configs) == 0 {
		return nil
	}
	return configs[0]
}

// configs returns the configurations in the file that share the same records, none
// without a file.
func (t *target) configs() ([]*schema.Config, error) {
	if t.file == "" {
		return nil, nil
	}
	file, err := readKongFile(t.file)
	if err != nil {
		return nil, err
	}
	var configs []*schema.Config
	var issuers []string // of configurations with other records
	for _, b := range file.blocks {
		cfg, err := schema.Parse(b.config)
		if t.issuer != "" && cfg != nil && cfg.Issuer != t.issuer {
			continue
		}
		if cfg != nil {
			err = errors.Join(err, enrich.Complete(cfg))
		}
		if err != nil || len(b.mistakes) > 0 {
			return nil, summarized(b.located(err), "check "+t.file)
		}
		if unknown := t.needed(cfg); len(unknown) > 0 {
			return nil, fmt.Errorf("%w; %s", b.unknown(unknown[:1], "unknown here")[0], giving(unknown[0].Path))
		}
		if !slices.ContainsFunc(configs, func(other *schema.Config) bool { return sameRecords(other, cfg) }) {
			issuers = append(issuers, cfg.Issuer)
		}
		if len(configs) == 0 {
			t.allRoutes = b.allRoutes
		}
		configs = append(configs, cfg)
	}
	switch len(issuers) {
	case 0:
		return nil, fmt.Errorf("%s: no configuration for the issuer %s", t.file, t.issuer)
	case 1:
		return configs, nil
	}
	return nil, usageError{fmt.Errorf("%s has several configurations; choose one with --issuer: %s", t.file, strings.Join(issuers, ", "))}
}

// summarized returns the first error and how many more a command shows.
func summarized(errs []error, command string) error {
	if more := len(errs) - 1; more > 0 {
		return fmt.Errorf("%w; \"m2m-token-enricher %s\" shows %d more", errs[0], command, more)
	}
	return errs[0]
}

// sameRecords reports whether two configurations share their records.
func sameRecords(a, b *schema.Config) bool {
	return a.Prefix == b.Prefix && fmt.Sprintf("%#v", a.Redis) == fmt.Sprintf("%#v", b.Redis)
}

// redis applies the flags and the environment to what is configured.
func (t *target) redis(cfg *schema.Config) (schema.Redis, error) {
	r := schema.DefaultRedis()
	if cfg != nil {
		r = cfg.Redis
	}
	if t.host != "" {
		r.Host, r.SentinelMaster, r.SentinelNodes, r.ClusterNodes = t.host, "", nil, nil
	}
	if t.database >= 0 {
		r.Database = t.database
	}
	r.Port = cmp.Or(t.port, r.Port)
	r.SSLCAFile = cmp.Or(t.caFile, r.SSLCAFile)
	r.SSL = r.SSL || t.ssl || t.caFile != ""
	for _, timeout := range []*int{&r.ConnectTimeout, &r.SendTimeout, &r.ReadTimeout} {
		*timeout = max(*timeout, patience) // no token waits for it
	}
	return r, t.credentials(&r)
}

func (t *target) credentials(r *schema.Redis) error {
	r.Username = cmp.Or(t.username, os.Getenv(usernameVariable), r.Username)
	r.Password = cmp.Or(schema.Secret(os.Getenv(passwordVariable)), r.Password)
	if t.passwordFile != "" {
		text, err := os.ReadFile(t.passwordFile)
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		r.Password = schema.Secret(strings.TrimRight(string(schema.WithoutMark(text)), "\r\n"))
	}
	secrets := map[string]*string{
		"username": &r.Username, "password": (*string)(&r.Password),
		"sentinel_username": &r.SentinelUsername, "sentinel_password": (*string)(&r.SentinelPassword),
	}
	for name, secret := range secrets {
		value, err := resolve(*secret, "give it by "+passwordVariable+" or --password-file")
		if err != nil {
			return fmt.Errorf("redis.%s: %w", name, err)
		}
		*secret = value
	}
	return nil
}

// resolvedEnv returns what a workflow reads, without references.
func resolvedEnv(env map[string]schema.Secret) (map[string]schema.Secret, error) {
	resolved := map[string]schema.Secret{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value, err := resolve(string(env[name]), "give a file with the value or with {vault://env/NAME}")
		if err != nil {
			return nil, fmt.Errorf("workflow.env.%s: %w", name, err)
		}
		resolved[name] = schema.Secret(value)
	}
	return resolved, nil
}

// resolve resolves a reference into Kong's env vault, which names a variable of
// the environment in lower case with dashes. For other vaults, the error says what to
// do instead.
func resolve(value, instead string) (string, error) {
	if !schema.IsReference(value) {
		return value, nil
	}
	name, ok := strings.CutPrefix(strings.TrimSuffix(value, "}"), "{vault://env/")
	if !ok || strings.ContainsAny(name, "/?") {
		return "", errors.New("only Kong can resolve this vault reference; " + instead)
	}
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	resolved := os.Getenv(name)
	if resolved == "" {
		return "", fmt.Errorf("the vault reference names the variable %s, which is empty here", name)
	}
	return resolved, nil
}
