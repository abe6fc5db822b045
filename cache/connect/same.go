package connect

import (
	"slices"
	"strings"

	"m2m-token-enricher/schema"
)

// Same reports whether a and b mean the same data: one server's database, the
// same master of the same sentinels, or the same cluster, whatever the order of
// its nodes. The name that TLS asks for counts, because a proxy may choose the
// server by it; users, passwords, timeouts and files don't.
func Same(a, b schema.Redis) bool { return slices.Equal(data(a), data(b)) }

// data are the parts of an address that say whose data it is.
func data(cfg schema.Redis) []string {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return append([]string{"cluster", cfg.ServerName}, sorted(clusterOptions(cfg).Addrs)...)
	case cfg.SentinelMaster != "":
		database := address(cfg.SentinelMaster, cfg.Database)
		return append([]string{"sentinel", cfg.ServerName, database}, sorted(sentinels(cfg))...)
	}
	return []string{"server", cfg.ServerName, address(cfg.Host, cfg.Port), address("", cfg.Database)}
}

// sorted returns addrs, which may be written in any order and case, without
// those that are there twice.
func sorted(addrs []string) []string {
	for i := range addrs {
		addrs[i] = strings.ToLower(addrs[i])
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}
