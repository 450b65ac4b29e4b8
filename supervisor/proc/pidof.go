package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc"
)

// PIDOf is the PID of the process of a pidfd, as this process's namespace has it: proc(5), fdinfo. 0: it has ended and was
// reaped, or /proc does not say.
func PIDOf(pidfd *os.File) int {
	pid, _ := pidOf(pidfd) // 0 with an error
	return max(pid, 0)
}

// pidOf is PIDOf, with -1 for a process that was reaped.
func pidOf(pidfd *os.File) (int, error) {
	fd, err := ipc.Descriptor(pidfd)
	if err != nil {
		return 0, err
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, fmt.Errorf("cannot read what its pidfd is of: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				return 0, fmt.Errorf("its pidfd is of process %s", strings.TrimSpace(text))
			}
			return pid, nil
		}
	}
	return 0, errors.New("its pidfd is none")
}
