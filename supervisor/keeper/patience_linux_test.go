package keeper

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// A master that was stopped, together with the keeper or while only that was, is not hung: in whichever order they stop and go on.
func TestStoppedForLongerThanTheWatchdog(t *testing.T) {
	const watchdog = 3 * time.Second
	for name, c := range map[string]struct{ stop, goOn []int }{ // 0: the keeper, 1: the master
		"KeeperFirst": {[]int{0, 1}, []int{0, 1}},
		"KeeperLast":  {[]int{1, 0}, []int{1, 0}},
		"Nested":      {[]int{0, 1}, []int{1, 0}},
		"KeeperAlone": {[]int{0}, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, Options{Watchdog: watchdog}, nil)
			p := h.ready()
			pids := []int{h.cmd.Process.Pid, p.pid}
			for _, i := range c.stop {
				check(t, syscall.Kill(pids[i], syscall.SIGSTOP))
			}
			if len(c.stop) == 1 {
				p.do("notify WATCHDOG=1") // it waits in the queue
			}
			p.silent(watchdog + time.Second)
			for _, i := range c.goOn {
				check(t, syscall.Kill(pids[i], syscall.SIGCONT))
			}
			h.wantLog("has not run for")
			for range 3 {
				p.do("notify WATCHDOG=1")
				p.do("barrier")
				<-time.After(watchdog / 3) // what is measured is that nothing happens
			}
			if text := h.log.text(); strings.Contains(text, "aborting") {
				t.Error("a master that did nothing wrong was aborted")
			}
			p.send("stop 0")
			h.wantCode(0)
		})
	}
}
