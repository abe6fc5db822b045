package redistest

import "m2m-token-enricher/schema"

// Config says how to reach a server on a port of loopback. The timeouts are long
// enough for a machine that is busy.
func Config(port int) schema.Redis {
	cfg := schema.DefaultRedis()
	cfg.Port = port
	cfg.ConnectTimeout, cfg.SendTimeout, cfg.ReadTimeout = 20_000, 20_000, 20_000
	return cfg
}
