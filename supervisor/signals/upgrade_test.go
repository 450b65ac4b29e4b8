package signals

import (
	"runtime"
	"syscall"
	"testing"
)

func TestParseUpgrade(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"": 0, "off": 0, "SIGIO": syscall.SIGIO, "io": syscall.SIGIO, "ALRM": syscall.SIGALRM,
		"RTMIN": 34, "rtmin+1": 35, "SIGRTMIN+30": 64,
		"USR2": -1, "HUP": -1, "KILL": -1, "34": -1, "RTMIN+31": -1, "RTMIN+x": -1, "RTMIN-1": -1, "nothing": -1,
	} {
		got, err := ParseUpgrade(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	if sig, err := ParseUpgrade("PWR"); runtime.GOOS == "linux" && (err != nil || sig != 30) {
		t.Errorf("PWR is %v, %v", sig, err)
	}
}
