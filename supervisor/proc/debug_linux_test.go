package proc

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// hold holds the process os.Args[1] as a debugger does, until descriptor 3 ends.
func hold() {
	pid, err := strconv.Atoi(os.Args[1])
	check(err)
	runtime.LockOSThread() // the system knows a debugger by its thread
	if err := syscall.PtraceAttach(pid); err != nil {
		fmt.Println("attached:", err)
		return
	}
	var status syscall.WaitStatus
	_, err = syscall.Wait4(pid, &status, 0, nil)
	check(err)
	fmt.Println("attached: held")
	os.NewFile(3, "end").Read(make([]byte, 1))
	check(syscall.PtraceDetach(pid))
}

// zombie is a process that has ended and is not reaped before reap.
func zombie(t *testing.T) (p *Process, reap func()) {
	t.Helper()
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	return &Process{pid: pid}, func() { syscall.Wait4(pid, nil, 0, nil) }
}
