package schema

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// Fetchable returns an error unless s is an https URL, or an http URL on loopback.
// Keys are fetched from no other.
func Fetchable(s string) error {
	plain, err := reachable(s)
	if err == nil && plain {
		return errors.New("not an https URL, nor http on loopback")
	}
	return err
}

// reachable returns an error unless s is an https or http URL, and reports whether it
// is http to another host than loopback.
func reachable(s string) (plain bool, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil { // without a name, a port alone is on this host
		return false, errors.New("not an https URL")
	}
	host := u.Hostname()
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 || r == '%' }) {
		return false, errors.New("a host that isn't ASCII, or has a zone: it could be reached by another name") // net/http maps it (IDNA)
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || (ip != nil && ip.IsLoopback())
	switch {
	case u.Scheme == "https", u.Scheme == "http" && loopback:
		return false, nil
	case u.Scheme == "http":
		return true, nil
	}
	return false, errors.New("not an https URL, nor http on loopback")
}

// FetchableFor returns an error if issuer's metadata must not send the gateway to
// s: if s isn't [Fetchable], or is on the gateway's own host and issuer isn't. A
// stranger's document must not choose requests to that host. Every other https URL
// is allowed, because its server needs a certificate that the gateway trusts.
func FetchableFor(issuer, s string) error {
	if err := Fetchable(s); err != nil {
		return err
	}
	if ownHost(s) && !ownHost(issuer) {
		return errors.New("on loopback, but the issuer isn't")
	}
	return nil
}

// ownHost reports whether the host of s, by its name alone, is the gateway's own: loopback addresses, those that stand for any address, and
// localhost with all names below it (RFC 6761, section 6.3).
func ownHost(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
