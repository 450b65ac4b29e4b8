package keeper

import (
	"fmt"
	"time"
)

// about is what the keeper, process pid, tells a client of the claim about the masters: lines KEY=VALUE, of which more may
// come. state is one of
//
//	starting  no master was ever ready yet
//	serving   the master in charge is ready, or comes after one that was
//	waiting   no master lives, and another will be started
//	stopping  told to stop, or what is left is being ended
//
// As long as starts or masters fail and none is ready, it says how many in a row (failures), what the last was (why), and in
// how many milliseconds the next is started (next_ms).
func (c *core) about(pid int, now time.Time) string {
	state, master := "starting", 0
	if c.charge != nil {
		master = c.charge.pid
	}
	switch {
	case c.phase != serving, c.charge != nil && c.charge.stopping && !c.charge.leaving:
		state = "stopping"
	case c.charge == nil:
		state = "waiting"
	case c.served:
		state = "serving"
	}
	text := fmt.Sprintf("pid=%d\nmaster=%d\nstate=%s\n", pid, master, state)
	if c.failures > 0 && (c.charge == nil || !c.charge.ready) {
		text += fmt.Sprintf("failures=%d\nwhy=%s\n", c.failures, printable(c.failure))
	}
	if !c.startAt.IsZero() {
		text += fmt.Sprintf("next_ms=%d\n", max(0, c.startAt.Sub(now)).Milliseconds())
	}
	return text
}
