package schema

import "cmp"

// Redis is Kong's record of Redis: one server, the master that Sentinel names, or
// a cluster. Exactly one of Host, SentinelMaster and ClusterNodes is set.
type Redis struct {
	Host string `json:"host"`
	Port int    `json:"port"` // unset means 6379

	// SentinelMaster is the name of the master at the sentinels, SentinelNodes are
	// some sentinels. Without a username, the default user is meant.
	SentinelMaster   string `json:"sentinel_master"`
	SentinelNodes    []Node `json:"sentinel_nodes"`
	SentinelUsername string `json:"sentinel_username"`
	SentinelPassword Secret `json:"sentinel_password"`

	// ClusterNodes are some servers of a cluster; they name the others. A lookup follows
	// at most ClusterMaxRedirections to another server; unset means 5.
	ClusterNodes           []ClusterNode `json:"cluster_nodes"`
	ClusterMaxRedirections int           `json:"cluster_max_redirections"`

	Username string `json:"username"` // empty means the default user
	Password Secret `json:"password"` // empty means that none is sent
	Database int    `json:"database"` // zero in a cluster

	// Timeout is for each of the three that is unset, in milliseconds. Unset means 500.
	// ConnectTimeout includes TLS.
	Timeout        int `json:"timeout"`
	ConnectTimeout int `json:"connect_timeout"`
	SendTimeout    int `json:"send_timeout"`
	ReadTimeout    int `json:"read_timeout"`

	// PoolSize is the number of connections to each server. Unset means 64.
	PoolSize int `json:"keepalive_pool_size"`

	// SSL connects with TLS, and SSLVerify verifies the server's certificate; unset
	// means true. An empty ServerName means the host that is connected to.
	SSL        bool   `json:"ssl"`
	SSLVerify  bool   `json:"ssl_verify"`
	ServerName string `json:"server_name"`

	// SSLCAFile has the trusted CAs; empty means those of the system. SSLCertFile and
	// SSLKeyFile are the client's certificate; empty means none. All are PEM files.
	SSLCAFile   string `json:"ssl_ca_file"`
	SSLCertFile string `json:"ssl_cert_file"`
	SSLKeyFile  string `json:"ssl_key_file"`
}

// derive fills the timeouts that are unset.
func (r *Redis) derive() {
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, r.Timeout)
	r.SendTimeout = cmp.Or(r.SendTimeout, r.Timeout)
	r.ReadTimeout = cmp.Or(r.ReadTimeout, r.Timeout)
}

// Node is the address of a sentinel.
type Node struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// ClusterNode is the address of a server of a cluster. The names are Kong's.
type ClusterNode struct {
	IP   string `json:"ip"`
	Port int    `json:"port"`
}
