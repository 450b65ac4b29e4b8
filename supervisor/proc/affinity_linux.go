package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// bound runs fork on a thread that is bound to cpus, which a child inherits before its program begins: a Go runtime
// then counts one CPU from its start.
func bound(cpus []int, fork func()) {
	var before, set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if set.Count() == 0 || unix.SchedGetaffinity(0, &before) != nil {
		fork()
		return
	}
	runtime.LockOSThread()
	if unix.SchedSetaffinity(0, &set) == nil {
		defer func() {
			if unix.SchedSetaffinity(0, &before) == nil {
				runtime.UnlockOSThread()
			}
			// Else the thread stays locked, and ends with this goroutine.
		}()
	} else {
		defer runtime.UnlockOSThread()
	}
	fork()
}

// maxBindRounds bounds how often Bind looks for threads that were made meanwhile. A thread that is bound makes only
// threads that are, so a second round is rare.
const maxBindRounds = 100

// Bind binds the running leader, all its threads and all that they will make, to cpus; nil: it changes nothing. The error
// is [os.ErrProcessDone] after the exit. If there is another, some of its threads may be bound.
func (p *Process) Bind(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	if err := bindThreads(p.pid, &set); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return fmt.Errorf("cannot bind process %d to CPUs %v: %w", p.pid, cpus, err)
	}
	return nil
}

// bindThreads needs a process that cannot be reaped meanwhile.
func bindThreads(pid int, set *unix.CPUSet) error {
	folder := "/proc/" + strconv.Itoa(pid) + "/task"
	bound := map[int]bool{}
	for range maxBindRounds {
		threads, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		found := false
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil || bound[tid] {
				continue
			}
			found = true
			// ESRCH: this thread has ended since.
			if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			bound[tid] = true
		}
		if !found {
			return nil
		}
	}
	return fmt.Errorf("new threads were found in %d rounds", maxBindRounds)
}
