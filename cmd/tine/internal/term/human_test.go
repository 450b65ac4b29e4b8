package term

import "testing"

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "4": 4, "+1": 1, "-2": -2, "1024": 1024} {
		if n, err := WholeNumber(text); err != nil || n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "+", "-", "+-1", "--1", "010", "00", "1_000", "0x10", "1e3", "1.0", " 1", "ten", "9999999999999999999999"} {
		if n, err := WholeNumber(text); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
}

func TestHumanNumbers(t *testing.T) {
	for s, want := range map[float64]string{-1: "0s", 0: "0s", 0.25: "250ms", 59.9: "59s", 60: "1m", 62: "1m2s", 3723: "1h2m", 90000: "1d1h", 86400 * 400: "400d"} {
		if got := Seconds(s); got != want {
			t.Errorf("seconds(%v) = %s, want %s", s, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 12 << 20: "12M", 1000 << 20: "1.0G", 5 << 40: "5.0T"} {
		if got := Memory(n); got != want {
			t.Errorf("memory(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{99999: "99999", 100000: "100.0k", 12345678: "12.3M", 12345678901: "12.3G"} {
		if got := Number(n); got != want {
			t.Errorf("number(%d) = %s, want %s", n, got, want)
		}
	}
	for ms, want := range map[float64]string{0: "-", 0.0213: "0.021ms", 1.25: "1.2ms", 42: "42ms", 12000: "12s"} {
		if got := Milliseconds(ms); got != want {
			t.Errorf("milliseconds(%v) = %s, want %s", ms, got, want)
		}
	}
}
