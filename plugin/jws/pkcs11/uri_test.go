package pkcs11

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	tests := []struct {
		name, uri, text string
		want            tokenURI
	}{
		{"PIN in a file", "pkcs11:token=m2m;object=signing?module-path=/usr/lib/p11.so&pin-source=/etc/kong/m2m/pin",
			"pkcs11:token=m2m;object=signing",
			tokenURI{token: "m2m", object: "signing", module: "/usr/lib/p11.so", pinSource: "/etc/kong/m2m/pin"}},
		{"PIN in the URI", "pkcs11:object=signing;token=m2m?pin-value=12%2634&module-path=/p11.so",
			"pkcs11:token=m2m;object=signing",
			tokenURI{token: "m2m", object: "signing", module: "/p11.so", pinValue: "12&34"}},
		{"percent-encoding", "pkcs11:serial=%61%3bb;object=a%20b+c%3D;id=%00%ff?module-path=%2Fp11.so&pin-source=/p%3F",
			"pkcs11:serial=a%3Bb;object=a%20b+c=;id=%00%FF",
			tokenURI{serial: "a;b", object: "a b+c=", id: "\x00\xff", module: "/p11.so", pinSource: "/p?"}},
		{"file as a URI", "pkcs11:token=m;object=o?module-path=/p&pin-source=file:/pin", "pkcs11:token=m;object=o",
			tokenURI{token: "m", object: "o", module: "/p", pinSource: "/pin"}},
		{"file as a URI with an authority", "pkcs11:token=m;object=o?module-path=/p&pin-source=file:///pin", "pkcs11:token=m;object=o",
			tokenURI{token: "m", object: "o", module: "/p", pinSource: "/pin"}},
		{"vendors' attributes", "pkcs11:x=1;token=m;type=private;object=o;x=2;y?z=%zz&module-path=/p&pin-source=/pin&z", "pkcs11:token=m;object=o",
			tokenURI{token: "m", object: "o", module: "/p", pinSource: "/pin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseURI(tt.uri)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("parseURI = %#v, want %#v", got, tt.want)
			}
			if got.String() != tt.text {
				t.Errorf("String = %s, want %s", got, tt.text)
			}
		})
	}
}

func TestParseURIRefuses(t *testing.T) {
	const where, how = "pkcs11:token=m;object=o", "?module-path=/p&pin-value=s3cret"
	tests := []struct {
		name, uri string
		parts     []string
	}{
		{"nothing", "pkcs11:", []string{"token and serial", "object", "module-path", "pin-source and pin-value"}},
		{"a path", "pkcs11:/s3cret", []string{"token and serial", "object"}},
		{"token and serial", where + ";serial=1" + how, []string{"one of the attributes token and serial"}},
		{"no object", "pkcs11:token=m" + how, []string{"attribute object must be given"}},
		{"no module", where + "?pin-value=s3cret", []string{"attribute module-path must be given"}},
		{"relative module", where + "?module-path=p11.so&pin-value=s3cret", []string{"absolute"}},
		{"module's name", where + "?module-name=softhsm&pin-value=s3cret", []string{"attribute module-path must be given"}},
		{"two PINs", where + how + "&pin-source=/pin", []string{"one of the attributes pin-source and pin-value"}},
		{"PIN in the path", where + ";pin-value=s3cret?module-path=/p", []string{"one of the attributes pin-source and pin-value"}},
		{"PIN of a command", where + "?module-path=/p&pin-source=|echo%20s3cret", []string{"pin-source must be the absolute path of a file"}},
		{"PIN that isn't encoded", where + "?module-path=/p&pin-value=s3cret%", []string{"attribute pin-value is not percent-encoded"}},
		{"PIN twice", where + how + "&pin-value=s3cret", []string{"attribute pin-value is given twice"}},
		{"slot", where + ";slot-id=0" + how, []string{"attribute slot-id is not supported"}},
		{"model", where + ";model=s3cret" + how, []string{"attribute model is not supported"}},
		{"certificate", where + ";type=cert" + how, []string{"type must be private"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseURI(tt.uri)
			if err == nil {
				t.Fatal("parseURI = nil, want an error")
			}
			for _, part := range tt.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("parseURI = %q, want %q in it", err, part)
				}
			}
			source := open(tt.uri)
			if message := fmt.Sprint(source, source.Read().Err); strings.Contains(message, "s3cret") || !strings.Contains(message, "the PKCS #11 URI: ") {
				t.Errorf("Read: %q, want an error without the PIN", message)
			}
		})
	}
}

// FuzzURI: whatever stands around the PIN, no message holds it, and what
// is accepted names a token, a key, a library and a PIN.
func FuzzURI(f *testing.F) {
	const secret = "s3cret-7391"
	f.Add("pkcs11:token=m2m;object=signing?module-path=/p&pin-value=", "")
	f.Add("pkcs11:token=m2m;object=signing;pin-value=", "?module-path=/p&pin-source=/pin")
	f.Add("pkcs11:serial=%00;object=o;id=%01?pin-source=", "&module-path=/p&x=y")
	f.Add("pkcs11:", "%zz")
	f.Fuzz(func(t *testing.T, before, after string) {
		uri := scheme + before + secret + after
		u, err := parseURI(uri)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error of %q holds the PIN: %v", uri, err)
			}
			return
		}
		if (u.token == "") == (u.serial == "") || u.object == "" || u.module == "" || (u.pinSource == "") == (u.pinValue == "") {
			t.Errorf("parseURI(%q) = %#v", uri, u)
		}
		if strings.Contains(u.pinValue, secret) && strings.Contains(u.String(), secret) {
			t.Errorf("%q is printed as %s", uri, u)
		}
	})
}
