package connect

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"m2m-token-enricher/schema"
)

// Describe names the Redis of cfg for people.
func Describe(cfg schema.Redis) string {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return "redis cluster of " + strings.Join(clusterNodes(cfg), ", ")
	case cfg.SentinelMaster != "":
		return "redis master " + cfg.SentinelMaster + " of the sentinels " + strings.Join(sentinels(cfg), ", ")
	}
	return "redis at " + address(cfg.Host, cfg.Port)
}

// Same reports whether a and b mean the same data: one server's database, the
// same master of the same sentinels, or the same cluster, whatever the order of
// its nodes. The name that TLS asks for counts, because a proxy may choose the
// server by it. Accounts, timeouts and files don't count.
func Same(a, b schema.Redis) bool { return slices.Equal(identity(a), identity(b)) }

func identity(cfg schema.Redis) []string {
	switch {
	case len(cfg.ClusterNodes) > 0:
		return append([]string{"cluster", cfg.ServerName}, sorted(clusterNodes(cfg))...)
	case cfg.SentinelMaster != "":
		database := address(cfg.SentinelMaster, cfg.Database)
		return append([]string{"sentinel", cfg.ServerName, database}, sorted(sentinels(cfg))...)
	}
	return []string{"server", cfg.ServerName, address(cfg.Host, cfg.Port), address("", cfg.Database)}
}

// sorted returns the distinct addrs in lower case and in order.
func sorted(addrs []string) []string {
	for i := range addrs {
		addrs[i] = strings.ToLower(addrs[i])
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

func clusterNodes(cfg schema.Redis) (addrs []string) {
	for _, node := range cfg.ClusterNodes {
		addrs = append(addrs, address(node.IP, node.Port))
	}
	return addrs
}

func sentinels(cfg schema.Redis) (addrs []string) {
	for _, node := range cfg.SentinelNodes {
		addrs = append(addrs, address(node.Host, node.Port))
	}
	return addrs
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
