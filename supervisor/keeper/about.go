package keeper

import "fmt"

// about is what the keeper, process pid, tells of the masters who asks on the claim: lines KEY=VALUE, of which more may
// come. state is one of
//
//	starting  no master was ever ready yet
//	serving   the master in charge is ready, or comes after one that was
//	waiting   no master lives, and another will be started
//	stopping  told to stop, or what is left is being ended
func (c *core) about(pid int) string {
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
	return fmt.Sprintf("pid=%d\nmaster=%d\nstate=%s\n", pid, master, state)
}
