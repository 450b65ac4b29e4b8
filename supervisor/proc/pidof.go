package proc

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PIDOf is the PID of the process of a pidfd, as this process's namespace has it: proc(5), fdinfo. 0: it has ended and was
// reaped, or /proc does not say.
func PIDOf(pidfd *os.File) (pid int) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		if err != nil {
			return
		}
		defer info.Close()
		for lines := bufio.NewScanner(info); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "Pid:"); ok {
				pid, _ = strconv.Atoi(strings.TrimSpace(text))
			}
		}
	})
	return max(pid, 0)
}
