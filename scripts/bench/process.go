//go:build linux

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
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
	left := procfs.Below(p.pid())
	_ = p.cmd.Process.Kill()
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.gone
}
