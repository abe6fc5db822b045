package libcrypto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"syscall"
	"testing"
)

// signers are keys of a name, that of Go and the same in libcrypto.
func signers(b *testing.B, l *Library) map[string][2]crypto.Signer {
	b.Helper()
	all := map[string][2]crypto.Signer{}
	for _, bits := range []int{2048, 3072} {
		private := rsaKey(b, bits)
		key, err := l.rsa(private)
		if err != nil {
			b.Fatal(err)
		}
		all[fmt.Sprintf("RSA-%d", bits)] = [2]crypto.Signer{private, key}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key, err := l.ecdsa(private)
	if err != nil {
		b.Fatal(err)
	}
	all["P-256"] = [2]crypto.Signer{private, key}
	return all
}

// BenchmarkSign compares the two within one run. The processor's time counts:
// that of the clock depends on what else runs.
func BenchmarkSign(b *testing.B) {
	l := testLibrary(b)
	digest := randomDigest(crypto.SHA256)
	for name, pair := range signers(b, l) {
		for i, by := range []string{"go", "libcrypto"} {
			b.Run(name+"/"+by, func(b *testing.B) {
				measure(b, func() error {
					_, err := pair[i].Sign(rand.Reader, digest, crypto.SHA256)
					return err
				})
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	l := testLibrary(b)
	digest := randomDigest(crypto.SHA256)
	for _, bits := range []int{2048, 3072} {
		private := rsaKey(b, bits)
		verify, err := l.Verifier(&private.PublicKey)
		if err != nil {
			b.Fatal(err)
		}
		signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("RSA-%d/go", bits), func(b *testing.B) {
			measure(b, func() error {
				return rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest, signature)
			})
		})
		b.Run(fmt.Sprintf("RSA-%d/libcrypto", bits), func(b *testing.B) {
			measure(b, func() error {
				_, err := verify(crypto.SHA256, digest, signature)
				return err
			})
		})
	}
}

// BenchmarkParallel signs for many requests at a time.
func BenchmarkParallel(b *testing.B) {
	l := testLibrary(b)
	digest := randomDigest(crypto.SHA256)
	pair := signers(b, l)["RSA-2048"]
	for i, by := range []string{"go", "libcrypto"} {
		b.Run(by, func(b *testing.B) {
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := pair[i].Sign(nil, digest, crypto.SHA256); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkCall is what each call of libcrypto costs beside its work.
func BenchmarkCall(b *testing.B) {
	l := testLibrary(b)
	measure(b, func() error {
		l.call(versionNumber)
		return nil
	})
}

func measure(b *testing.B, f func() error) {
	b.Helper()
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}

func processorTime() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}
