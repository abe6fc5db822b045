package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// HostPort splits s into a host, in lower case, and its port, "" if there is none. A host is an IP address in its usual form, or a name of
// ASCII labels whose last one begins with a letter. So every reader of s connects to the same host: there is no other spelling of a number, no
// character to map, no final dot, no IPv4 address within one of IPv6.
func HostPort(s string) (host, port string, err error) {
	host, port = strings.ToLower(s), ""
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:colon], host[colon+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", errors.New("not a host, or a host and a port from 1 to 65535")
		}
	}
	if address, ok := address(host); ok {
		return address, port, nil
	}
	if !isHostName(host) {
		return "", "", errors.New("not a host name in ASCII, nor an IP address")
	}
	return host, port, nil
}

// address returns the usual form of an IP address, which is in brackets if it is of version 6.
func address(s string) (string, bool) {
	inner, bracket := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	ip, err := netip.ParseAddr(inner)
	if err != nil || ip.Zone() != "" || ip.Is4In6() || ip.Is6() != bracket || bracket != closed {
		return "", false
	}
	return ip.String(), true
}

func isHostName(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(s) <= 253 && last[0] >= 'a' && last[0] <= 'z'
}

// CheckAllowHost returns an error unless s is a host that a workflow may be allowed to ask, with or without a port. The issuer's own host isn't
// one: what a workflow asks there is answered from the records.
func CheckAllowHost(issuer, s string) error {
	host, _, err := HostPort(s)
	if err != nil {
		return fmt.Errorf("%w; write a host such as api.example.com or api.example.com:8443, without scheme, path or wildcard", err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return nil // it has no host
	}
	if own, _, err := HostPort(u.Host); err == nil && own == host {
		return errors.New("the issuer's own host: requests to it are answered from the records, never over the network; remove it")
	}
	return nil
}
