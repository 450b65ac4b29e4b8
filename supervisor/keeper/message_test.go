package keeper

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want message
		bad  string // part of the error
	}{
		{"", message{}, ""},
		{"READY=1", message{ready: true}, ""},
		{"READY=0\nSTOPPING=yes", message{}, ""},
		{"READY=1\nSTATUS=4 workers\nMAINPID=4711\n", message{ready: true, status: "4 workers", mainPID: 4711}, ""},
		{"STATUS=a=b\x1b[2J\xff", message{status: "a=b?[2J?"}, ""},
		{"RELOADING=1\nMONOTONIC_USEC=18446744073709551615", message{reloading: true, monotonic: "18446744073709551615"}, ""},
		{"RELOADING=1\nMONOTONIC_USEC=soon", message{reloading: true}, "MONOTONIC_USEC=soon"},
		{"MAINPID=0\nREADY=1", message{ready: true}, "MAINPID=0"},
		{"MAINPID=4294967297", message{}, "MAINPID"},
		{"WATCHDOG=1", message{feed: true}, ""},
		{"WATCHDOG=trigger", message{trigger: true}, ""},
		{"WATCHDOG_USEC=2000000", message{watchdog: 2 * time.Second}, ""},
		{"WATCHDOG_USEC=-1", message{}, "microseconds from 1"},
		{"WATCHDOG_USEC=9223372036854775807", message{}, "microseconds from 1"},
		{"FDSTORE=1\nFDNAME=web.0\nFDPOLL=0", message{store: true, name: "web.0"}, ""},
		{"FDSTORE=1\nFDNAME=a:b", message{store: true}, "':'"},
		{"FDSTORE=1\nFDNAME=", message{store: true}, "1 to 255"},
		{"FDSTORE=1\nFDNAME=" + strings.Repeat("x", 256), message{store: true}, "not 256"},
		{"FDSTOREREMOVE=1\nFDNAME=web", message{remove: true, name: "web"}, ""},
		{"BARRIER=1", message{barrier: true}, ""},
		{"X-TINE-EXITS=1", message{exits: true}, ""},
		{"X-TINE-MASTER=1\nMAINPID=7", message{chief: true, mainPID: 7}, ""},
		{"MAINPID=7\nX-TINE-COMMAND=/opt/tine 2/tine", message{mainPID: 7, command: "/opt/tine 2/tine"}, ""},
		{"MAINPID=7\nX-TINE-COMMAND=tine", message{mainPID: 7}, "an absolute path"},
		{"MAINPID=7\nX-TINE-COMMAND=", message{mainPID: 7}, "an absolute path"},
		{"X-TINE-COMMAND=/a\x00b", message{}, "control characters"},
		{"X-TINE-COMMAND=/a\xff", message{}, "UTF-8"},
		{"X-TINE-COMMAND=/" + strings.Repeat("x", maxCommand), message{}, "not 3841"},
		{"EXTEND_TIMEOUT_USEC=5\nX-OTHER=1\nnonsense\n=\n\x00=1", message{}, ""},
		{strings.Repeat("X", maxMessage+1), message{}, "4097 bytes"},
	} {
		got, err := parse([]byte(c.text))
		if got != c.want {
			t.Errorf("%.100q: %+v, want %+v", c.text, got, c.want)
		}
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%.100q: error %v, want %q", c.text, err, c.bad)
		}
	}
}

// FuzzParse: nothing that a process can send breaks the keeper, forges a line of its log or of what it passes on, or makes a
// name that the next master could not be given.
func FuzzParse(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=ok\nMAINPID=1\nFDSTORE=1\nFDNAME=a\nBARRIER=1\nWATCHDOG=1\nWATCHDOG_USEC=1\nMONOTONIC_USEC=1\nRELOADING=1"))
	f.Add([]byte("FDNAME=\x00\nSTATUS=\r\x7f\u0085\nMAINPID=-1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text)
		if err != nil {
			for _, r := range strings.ReplaceAll(err.Error(), "\n", "") { // one line for each field
				if r < ' ' {
					t.Errorf("the error %q has control characters", err)
				}
			}
		}
		if m.name != "" && checkName(m.name) != nil {
			t.Errorf("the name %q", m.name)
		}
		if m.command != "" && (m.command[0] != '/' || strings.ContainsAny(m.command, "\x00\n")) {
			t.Errorf("the program %q", m.command)
		}
		if m.mainPID < 0 || m.watchdog < 0 || m.watchdog > maxWatchdog {
			t.Errorf("%+v", m)
		}
		up, err := parse([]byte(upward(m)))
		if err != nil && len(text) < maxMessage-100 {
			t.Errorf("what is passed on cannot be read: %v", err)
		}
		if up.store || up.mainPID != 0 || up.command != "" || up.exits || up.stopping != m.stopping && err == nil {
			t.Errorf("%q passes %+v on, which it must not", text, up)
		}
	})
}

func TestWatchdogOf(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"1000000", "", time.Second}, {"1000000", "100", time.Second}, {"1000000", "99", 0}, {"x", "", 0}, {"-5", "", 0},
		{"9223372036854775807", "", maxWatchdog},
	} {
		got := watchdogOf(func(key string) string {
			return map[string]string{envWatchdog: c.usec, envWatchdogPID: c.pid}[key]
		}, 100)
		if got != c.want {
			t.Errorf("%q for %q: %s, want %s", c.usec, c.pid, got, c.want)
		}
	}
}

func TestDescriptorOfNothing(t *testing.T) {
	if _, err := descriptor(nil); !errors.Is(err, os.ErrInvalid) {
		t.Error(err)
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := descriptor(closed); err == nil {
		t.Error("a closed file has one")
	}
}

func TestExitsAreBounded(t *testing.T) {
	var r exits
	for i := range MaxExits + 10 {
		r.add(Exit{PID: i, Start: uint64(2 * i), Status: 9})
	}
	list, err := readExits(strings.NewReader(string(r.appendTo(nil))))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != MaxExits || list[0] != (Exit{10, 20, 9}) || list[MaxExits-1].PID != MaxExits+9 {
		t.Errorf("%d exits, from %v to %v", len(list), list[0], list[len(list)-1])
	}
	if list, err := readExits(strings.NewReader("7 8 256 and what is new\n")); err != nil || list[0].Status.ExitStatus() != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := readExits(strings.NewReader("7 x\n")); err == nil {
		t.Error("no error for nonsense")
	}
}

// A process without a supervisor needs no special case.
func TestNoClient(t *testing.T) {
	t.Setenv(envNotify, "")
	c, err := Dial()
	if c != nil || err != nil {
		t.Fatal(c, err)
	}
	list, err6 := c.Exits(t.Context())
	for i, err := range []error{c.Notify("READY=1"), c.Store("x"), c.Remove("x"), c.Barrier(t.Context()), c.Lead(t.Context()), c.Close(), err6} {
		if err != nil {
			t.Error(strconv.Itoa(i), err)
		}
	}
	if c.Limit() != 0 || list != nil {
		t.Error("a limit, or exits")
	}
	t.Setenv(envNotify, "vsock:2:1")
	if _, err := Dial(); err == nil {
		t.Error("vsock")
	}
	t.Setenv(envNotify, "@tine-nobody-there")
	if _, err := Dial(); err == nil {
		t.Error("no process listens there")
	}
}
