package cache

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// waitAndClean waits for the exit of the leader and kills the rest of its group before it reaps the leader: as long as
// that is a zombie, the group's number cannot be another's.
func waitAndClean(cmd *exec.Cmd, g *group) error {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	g.close()
	return cmd.Wait()
}
