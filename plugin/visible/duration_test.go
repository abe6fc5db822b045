package visible

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for want, d := range map[string]time.Duration{
		"0s": 0, "500ms": 500 * time.Millisecond, "5m": 5 * time.Minute, "4m30s": 270 * time.Second, "1h": time.Hour, "1h30s": time.Hour + 30*time.Second,
		"90d": 90 * day, "1d12h": 36 * time.Hour, "89d23h59m59s": 90*day - time.Second, "-10m": -10 * time.Minute,
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %s, want %s", d, got, want)
		}
	}
}
