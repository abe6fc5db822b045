package measure

import "testing"

func TestParsePerf(t *testing.T) {
	for report, want := range map[string]float64{
		"Events disabled\n1234,,raw_syscalls:sys_enter,99,100.00,,\n":       1234,
		"<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n":                0,
		"event syntax error: 'raw_syscalls:sys_enter': no permission, root": 0,
		"": 0,
	} {
		if got, err := parsePerf(report); got != want || (err == nil) != (want > 0) {
			t.Errorf("parsePerf(%q) = %v, %v, want %v", report, got, err, want)
		}
	}
}
