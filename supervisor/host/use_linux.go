package host

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ is 100 on all architectures that Go
// knows (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
const clockTick = 10 * time.Millisecond

// UseOf returns what a process uses, from /proc/PID/stat: the 14th and 15th field are user and system time, the 24th the resident
// pages (proc_pid_stat(5)). The error wraps [fs.ErrNotExist] if there is no such process. That pid still is the process that
// is meant is for the caller to know.
func UseOf(pid int) (Use, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Use{}, fmt.Errorf("cannot read what process %d uses: %w", pid, err)
	}
	// The second field is the program's name in parentheses, in which anything may be.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return Use{}, fmt.Errorf("cannot read what process %d uses: stat is %q", pid, text)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	pages, err3 := strconv.ParseInt(string(fields[21]), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Use{}, fmt.Errorf("cannot read what process %d uses: stat is %q", pid, text)
	}
	return Use{RSS: pages * int64(os.Getpagesize()), CPU: time.Duration(user+system) * clockTick}, nil
}
