//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that this run started, and ends by its PID.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
	mu   sync.Mutex
	tail []string // the last lines it wrote, for when it goes wrong
}

// startProcess starts c and hands every line that it writes, on either stream, to line.
func startProcess(c *exec.Cmd, line func([]byte)) (*process, error) {
	p := &process{cmd: c, gone: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Stderr = write, write
	err = c.Start()
	write.Close()
	if err != nil {
		read.Close()
		return nil, err
	}
	go func() {
		p.pump(read, line)
		read.Close()
	}()
	go func() {
		_ = c.Wait()
		close(p.gone)
	}()
	return p, nil
}

func (p *process) pump(r io.Reader, line func([]byte)) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		p.tail = append(p.tail, s.Text())
		if len(p.tail) > 10 {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
		if line != nil {
			line(s.Bytes())
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// stop asks it to end and, if it does not, makes it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		return
	case <-time.After(10 * time.Second):
	}
	left := below(p.pid())
	_ = p.cmd.Process.Kill()
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.gone
}

// children are the PIDs of the processes directly below pid.
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, f := range files {
		text, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// processName is what /proc/PID/comm says; empty: it has gone.
func processName(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// below are all descendants of pid.
func below(pid int) []int {
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		pids := children(queue[0])
		all, queue = append(all, pids...), append(queue, pids...)
	}
	return all
}

// openFiles is how many descriptors a process has.
func openFiles(pid int) int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files)
}

// isZombie says whether a process has ended and nobody has reaped it.
func isZombie(pid int) bool { return strings.HasPrefix(statusField(pid, "State"), "Z") }

// ticks is the CPU time of a process as /proc/PID/stat has it, in hundredths of a second.
func ticks(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(text, ')')
	f := strings.Fields(string(text[i+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// memoryOf reads a line of /proc/PID/smaps_rollup, in bytes.
func memoryOf(pid int, name string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, " kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// cpuTime is what all threads of pid have run so far, to the nanosecond: the ticks of /proc/PID/stat are too coarse.
func cpuTime(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			sum += time.Duration(n)
		}
	}
	return sum
}

// statusField reads a line like "VmRSS:  1234 kB" of /proc/PID/status.
func statusField(pid int, name string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range bytes.Split(text, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			return strings.TrimSpace(string(rest))
		}
	}
	return ""
}

// rss is in bytes.
func rss(pid int) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(statusField(pid, "VmRSS"), " kB"), 10, 64)
	return n << 10
}
