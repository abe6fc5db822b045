package schema

import (
	"net"
	"strings"
	"testing"
)

func TestHostPort(t *testing.T) {
	for _, test := range []struct{ text, host, port string }{
		{"api.example.com", "api.example.com", ""},
		{"API.Example.COM:8443", "api.example.com", "8443"},
		{"localhost:1", "localhost", "1"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		{"a_b.3c.example", "a_b.3c.example", ""},
		{"192.0.2.1:443", "192.0.2.1", "443"},
		{"[2001:DB8::1]", "2001:db8::1", ""},
		{"[2001:db8:0:0::1]:443", "2001:db8::1", "443"},
	} {
		host, port, err := HostPort(test.text)
		if err != nil || host != test.host || port != test.port {
			t.Errorf("HostPort(%q) = %q, %q, %v, want %q, %q", test.text, host, port, err, test.host, test.port)
		}
	}
}

// TestHostPortRefuses: what another reader may take for another host.
func TestHostPortRefuses(t *testing.T) {
	for _, text := range []string{
		"", ".", ":443", "example.com.", ".example.com", "a..example", "*.example.com", "*", "https://example.com", "example.com/", "user@example.com",
		"example.com:", "example.com:0", "example.com:0443", "example.com:65536", "example.com:+443", "example.com:https", "a:b:443",
		"127.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "010.0.0.1", "192.0.2.1.", "1.2.3.4.5", "2001:db8::1", "[2001:db8::1", "2001:db8::1]",
		"[fe80::1%eth0]", "[::ffff:192.0.2.1]", "[192.0.2.1]", "[]", "bücher.example", "ｅxample.com", "example。com", "exam ple.com", "example.com\n", "example.com\\", "ex%61mple.com",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
	} {
		if host, port, err := HostPort(text); err == nil {
			t.Errorf("HostPort(%q) = %q, %q, want an error", text, host, port)
		}
	}
}

func TestCheckAllowHost(t *testing.T) {
	const issuer = "https://Example.Kinde.com/tenant"
	for _, test := range []struct{ host, want string }{
		{"api.example.com", ""},
		{"api.example.com:8443", ""},
		{"kinde.com", ""},
		{"example.kinde.com", "answered from the records"},
		{"EXAMPLE.kinde.com:8443", "answered from the records"},
		{"https://api.example.com", "without scheme"},
		{"*.example.com", "wildcard"},
	} {
		err := CheckAllowHost(issuer, test.host)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("CheckAllowHost(%q) = %v, want %q", test.host, err, test.want)
		}
	}
	if err := CheckAllowHost("no URL", "api.example.com"); err != nil {
		t.Errorf("CheckAllowHost of an issuer without a host = %v, want nil", err)
	}
}

// FuzzHostPort: what HostPort returns has one spelling, and means the same to the network.
func FuzzHostPort(f *testing.F) {
	for _, s := range []string{"Example.com:443", "[::1]:1", "[::ffff:1.2.3.4]", "1.2.3.4", "0x7f.1", "a.b."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := HostPort(s)
		if err != nil {
			return
		}
		again := host
		if strings.Contains(host, ":") {
			again = "[" + host + "]"
		}
		if port != "" {
			again += ":" + port
			if _, p, err := net.SplitHostPort(s); err != nil || p != port {
				t.Errorf("HostPort(%q) has the port %q, want %q, as the network reads it (%v)", s, port, p, err)
			}
		}
		if h, p, err := HostPort(again); err != nil || h != host || p != port {
			t.Errorf("HostPort(%q) = %q, %q, %v, want %q, %q", again, h, p, err, host, port)
		}
	})
}
