//go:build !linux

package cache

import "os/exec"

// waitAndClean waits for the exit of the leader, then kills the rest of its group. Without waitid the leader is reaped
// first: the group's number stays reserved while there is a rest, and is not given out again at once when there is none.
func waitAndClean(cmd *exec.Cmd, g *group) error {
	err := cmd.Wait()
	g.close()
	return err
}
