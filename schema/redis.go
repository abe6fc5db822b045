package schema

import "cmp"

// Redis is Kong's record of Redis: one server, the master that Sentinel names, or
// a cluster. Exactly one of Host, SentinelMaster and ClusterNodes is set.
type Redis struct {
	Host                   string        `json:"host" description:"Host name or address of the server."`
	Port                   int           `json:"port" default:"6379" between:"0,65535" description:"Port of the server."`
	SentinelMaster         string        `json:"sentinel_master" description:"Name of the master at the sentinels. Unset: no Sentinel."`
	SentinelNodes          []Node        `json:"sentinel_nodes" len_min:"1" len_max:"100" description:"Some of the sentinels; they name the others."`
	SentinelUsername       string        `json:"sentinel_username" referenceable:"true" description:"ACL user at the sentinels. Unset: the default user."`
	SentinelPassword       Secret        `json:"sentinel_password" len_min:"0" description:"Password at the sentinels. Unset: none is sent."`
	ClusterNodes           []ClusterNode `json:"cluster_nodes" len_min:"1" len_max:"100" description:"Some servers of a cluster; they name the others."`
	ClusterMaxRedirections int           `json:"cluster_max_redirections" default:"5" between:"1,16" description:"How often a lookup in a cluster may be redirected to another server."`
	Username               string        `json:"username" referenceable:"true" description:"ACL user. Unset: the default user."`
	Password               Secret        `json:"password" len_min:"0" description:"Password of the user. Unset: none is sent."`
	Database               int           `json:"database" default:"0" between:"0,65535" description:"Number of the database; 0 in a cluster."`
	Timeout                int           `json:"timeout" default:"500" between:"1,50000" description:"Milliseconds to connect, to send and to receive, each."`
	ConnectTimeout         int           `json:"connect_timeout" between:"1,50000" description:"Milliseconds to connect, TLS included. Unset: timeout."`
	SendTimeout            int           `json:"send_timeout" between:"1,50000" description:"Milliseconds to send a command. Unset: timeout."`
	ReadTimeout            int           `json:"read_timeout" between:"1,50000" description:"Milliseconds to receive an answer. Unset: timeout."`
	PoolSize               int           `json:"keepalive_pool_size" default:"64" between:"1,65535" description:"Largest number of connections to each server, in use or kept open."`
	SSL                    bool          `json:"ssl" default:"false" description:"Connect with TLS, to sentinels too."`
	SSLVerify              bool          `json:"ssl_verify" default:"true" description:"Verify the server's certificate and its name."`
	ServerName             string        `json:"server_name" description:"Name in the server's certificate. Unset: the host that is connected to."`
	SSLCAFile              string        `json:"ssl_ca_file" description:"PEM file with the certificates of the CAs to trust. Unset: the system's."`
	SSLCertFile            string        `json:"ssl_cert_file" description:"PEM file with the client's certificate, for mutual TLS."`
	SSLKeyFile             string        `json:"ssl_key_file" description:"PEM file with the key of the client's certificate."`
}

// derive fills the timeouts that are unset.
func (r *Redis) derive() {
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, r.Timeout)
	r.SendTimeout = cmp.Or(r.SendTimeout, r.Timeout)
	r.ReadTimeout = cmp.Or(r.ReadTimeout, r.Timeout)
}

// Node is the address of a sentinel.
type Node struct {
	Host string `json:"host" required:"true" description:"Host name or address of the server."`
	Port int    `json:"port" default:"6379" between:"0,65535" description:"Port of the server."`
}

// ClusterNode is the address of a server of a cluster. The names are Kong's.
type ClusterNode struct {
	IP   string `json:"ip" required:"true" description:"Host name or address of the server."`
	Port int    `json:"port" default:"6379" between:"0,65535" description:"Port of the server."`
}
