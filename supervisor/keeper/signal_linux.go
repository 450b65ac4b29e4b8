package keeper

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals turns signals into bytes in a pipe, so that one poll waits for everything.
type signals struct {
	pipe [2]int // non-blocking
	came chan os.Signal
}

// forwarded reports whether a signal is the master's affair. Those that tell of an error of this process itself are not, nor
// SIGURG, which Go's runtime sends itself, nor SIGTSTP: a keeper in the foreground of a terminal is suspended and serves
// on, in the master and the workers.
func forwarded(s syscall.Signal) bool {
	switch s {
	case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGPIPE,
		syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGPROF:
		return false
	}
	// 32 and 33 are those of the C library's threads.
	return s >= 1 && s < 32 || s > 33 && s <= 64
}

func catchSignals() (*signals, error) {
	w := &signals{came: make(chan os.Signal, 256)}
	if err := unix.Pipe2(w.pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	// SIGPIPE is taken and dropped: the keeper does not die of a log that is not read. To ignore it would be passed on
	// to the master.
	all := []os.Signal{syscall.SIGCHLD, syscall.SIGPIPE}
	for s := syscall.Signal(1); s <= 64; s++ {
		if forwarded(s) { // also one that was ignored, as under nohup: what it means is the master's to say
			all = append(all, s)
		}
	}
	signal.Notify(w.came, all...)
	// Until the process ends: a signal in its last moment would else give it another exit code.
	go func() {
		for s := range w.came {
			// A full pipe has thousands of them in it, so this one is not missed.
			_, _ = unix.Write(w.pipe[1], []byte{byte(s.(syscall.Signal))})
		}
	}()
	return w, nil
}

// take calls see for each that has come.
func (w *signals) take(see func(syscall.Signal)) {
	var buf [64]byte
	for {
		n, err := unix.Read(w.pipe[0], buf[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		for _, b := range buf[:n] {
			see(syscall.Signal(b))
		}
	}
}
