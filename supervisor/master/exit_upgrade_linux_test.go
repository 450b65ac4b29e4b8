package master

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/supervisor/control/api"
)

const exitConfig = `
name: test
log: {format: json, level: debug}
apps:
  web:
    command: [PROGRAM]
    env: {TEST_BEHAVIOUR: BEHAVIOUR, GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 1
  job:
    command: [PROGRAM]
    env: {TEST_EVIL: "exit HOW-exit", GOMAXPROCS: "1"}
    listen: ["127.0.0.1:0"]
    workers: 1
    drain_delay: 100ms
    drain_timeout: 200ms
    kill_after: 200ms
`

// An exit is judged once, with its code, whenever it comes: while the old master has let go and the new one has looked at
// nothing, when the new one is certain of all and not in charge, if it is not going to be, and while no master lives. One with 0
// is not started again, another is, once; the last words are in the log.
func TestExitInASuccession(t *testing.T) {
	for _, old := range []bool{false, true} {
		for _, when := range []string{"as its channel ends", "received", "ready", "refused", "crash"} {
			for _, code := range []int{0, 3} {
				t.Run(fmt.Sprintf("%s/%d/old kernel=%t", when, code, old), func(t *testing.T) {
					if old {
						t.Setenv(oldKernel, "1")
					}
					exitDuring(t, when, code)
				})
			}
		}
	}
}

func exitDuring(t *testing.T, when string, code int) {
	m := makeKept(t)
	pipe := m.dir + "/behaviour-exit"
	config := exitConfig
	if when == "as its channel ends" {
		config = strings.Replace(config, "HOW-exit", fmt.Sprint("eof ", code), 1)
	} else if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(config)
	st := m.await("ready", func(st api.Status) bool { return len(st.Apps) == 2 && allAppsReady(st) })
	web, job := pids(st.Apps[0])[0], pids(st.Apps[1])[0]
	leave := func() {
		if err := os.WriteFile(pipe, []byte(fmt.Sprint(code)), 0); err != nil {
			t.Fatal(err)
		}
		for late := bounded(t); !isGone(job); {
			select {
			case <-late.Done():
				t.Fatal("it does not exit")
			case <-time.After(time.Millisecond):
			}
		}
	}
	switch when {
	case "received", "ready", "refused":
		step, word := when, "go on"
		if when == "refused" {
			step, word = atReady, "refuse"
		}
		here, do := m.hold(step)
		m.beginUpgrade(st)
		here()
		leave()
		do(word)
	case "crash":
		freeze(t, st.PID)
		leave()
		m.crash(st)
	default:
		m.beginUpgrade(st)
	}
	m.await("its end is judged", func(now api.Status) bool {
		if (now.PID == st.PID) != (when == "refused") || len(now.Apps) != 2 || now.Apps[0].Ready != 1 {
			return false
		}
		if code == 0 {
			return now.Apps[1].State == api.AppFinished
		}
		return now.Apps[1].Ready == 1 && pids(now.Apps[1])[0] != job
	})
	now := m.await("the log says so", func(now api.Status) bool {
		for line := range strings.Lines(m.log.String()) {
			if strings.Contains(line, `"message":"exited"`) && strings.Contains(line, fmt.Sprintf(`"pid":%d,`, job)) {
				return len(now.Apps) == 2
			}
		}
		return false
	})
	if got := pids(now.Apps[0]); len(got) != 1 || got[0] != web {
		t.Errorf("the worker of web is %v, was %d", got, web)
	}
	judged, words, started := 0, 0, 0
	for line := range strings.Lines(m.log.String()) {
		is := func(s ...string) bool {
			for _, s := range s {
				if !strings.Contains(line, s) {
					return false
				}
			}
			return true
		}
		switch {
		case is(`"message":"exited"`, `"app":"job"`, fmt.Sprintf(`"pid":%d,`, job)):
			judged++
			if !is(fmt.Sprintf(`"code":%d`, code)) {
				t.Errorf("judged as %s", line)
			}
		case is(fmt.Sprint("last words of ", job)) && !is(`"message":"exited"`):
			words++
		case is(`"message":"spawned"`, `"app":"job"`):
			started++
		}
	}
	want := 1
	if code != 0 {
		want = 2
	}
	if judged != 1 || words != 1 || started < 1 || started > want {
		t.Errorf("judged %d times, last words %d times, started %d times, want %d", judged, words, started, want)
	}
}
