package libcrypto

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// freed waits until the keys that nothing refers to are freed.
func freed(t *testing.T, l *Library, live int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for l.live.Load() != live {
		if time.Now().After(deadline) {
			t.Fatalf("%d keys are live, not %d", l.live.Load(), live)
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func TestDroppedKeyIsFreed(t *testing.T) {
	l := testLibrary(t)
	private := rsaKey(t, 2048)
	kept := testKey(t, l, 2048)
	for range 50 {
		key, err := l.rsa(private)
		if err == nil {
			err = signOnce(key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	freed(t, l, 1)
	if err := signOnce(kept); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(kept)
}

// TestKeyInUseIsNotFreed: each signature has the last reference to its key, and
// the collector runs all the time. One of a freed key would be wrong.
func TestKeyInUseIsNotFreed(t *testing.T) {
	l := testLibrary(t)
	private := rsaKey(t, 2048)
	digest := randomDigest(crypto.SHA256)
	want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !over.Load() {
			runtime.GC()
		}
	}()
	err = inParallel(8, func() error {
		for range 50 {
			pkey, err := l.importRSA(private)
			if err != nil {
				return err
			}
			got, err := pkey.sign(digest, 256, pkcs1[crypto.SHA256])
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("another signature: %w", err)
			}
		}
		return nil
	})
	over.Store(true)
	<-stopped
	if err != nil {
		t.Error(err)
	}
	freed(t, l, 0)
}

// TestMemoryDoesNotGrow from key to key, nor from signature to signature or
// from error to error.
func TestMemoryDoesNotGrow(t *testing.T) {
	l := testLibrary(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cycle := func(n int) {
		for range n {
			key, err := l.ecdsa(private)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := key.Sign(nil, nil, crypto.SHA256); err == nil {
				t.Fatal("nothing was signed")
			}
			if _, err := l.importKey("EC", selectPair, params{}.text("group", "none")); err == nil {
				t.Fatal("a key of no curve was taken")
			}
		}
		freed(t, l, 0)
	}
	cycle(2000)
	before := resident(t)
	cycle(cycles)
	if grown := resident(t) - before; grown > 16<<20 {
		t.Errorf("%d bytes more after %d keys", grown, cycles)
	}
}

// cycles is how many keys come and go: one that leaked is at least 1 kB.
const cycles = 20_000

func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestFreedKeyIsOverwritten looks for a prime in all memory that isn't Go's.
func TestFreedKeyIsOverwritten(t *testing.T) {
	l := testLibrary(t)
	private := rsaKey(t, 2048)
	prime := private.Primes[0].FillBytes(make([]byte, 128))
	slices.Reverse(prime) // as both have it in memory
	key, err := l.rsa(private)
	if err != nil {
		t.Fatal(err)
	}
	if copies(t, prime) == 0 {
		t.Error("the search doesn't find a key that is there")
	}
	runtime.KeepAlive(key)
	key = nil
	freed(t, l, 0)
	if n := copies(t, prime); n != 0 {
		t.Errorf("%d copies are left", n)
	}
}

// copies counts pattern in the memory that malloc may have given out.
func copies(t *testing.T, pattern []byte) (n int) {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer memory.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode != "rw-p" {
			continue
		}
		const goHeap, most = 0xc0 << 32, 64 << 20
		if from>>32 == goHeap>>32 || to-from > most || strings.Contains(lines.Text(), "[stack]") {
			continue
		}
		content := make([]byte, to-from)
		if _, err := memory.ReadAt(content, from); err == nil {
			n += bytes.Count(content, pattern)
		}
		clear(content)
	}
	return n
}

// TestNothingIsLeftInGo of what was handed over.
func TestNothingIsLeftInGo(t *testing.T) {
	values := params{}.number("d", big.NewInt(0x123456)).bytes("pub", []byte("public")).text("group", "name")
	number := values[0].data
	if got := *(*[3]byte)(number); got != [3]byte{0x56, 0x34, 0x12} {
		t.Errorf("the number is %x", got)
	}
	values.wipe()
	if got := *(*[3]byte)(number); got != [3]byte{} {
		t.Errorf("the number is still %x", got)
	}
}
