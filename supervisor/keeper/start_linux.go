package keeper

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// start starts a master with the stored files as descriptors from 3 on, in a process group of its own: a Ctrl-C in the
// terminal reaches the keeper alone, which passes it on once.
func (s *shell) start(program string) {
	files := make([]uintptr, 0, 3+len(s.store.files))
	files = append(files, 0, 1, 2)
	for _, f := range s.store.files {
		files = append(files, uintptr(f.fd))
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Env: s.environment(), Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}}
	pid, err := syscall.ForkExec(program, s.o.Args, attr)
	if err != nil {
		s.step(startFailed{program, err})
		return
	}
	s.follow(pid, pidfd)
	s.step(started{pid})
}

// environment is that of a master. LISTEN_PID is not in it: the PID is not known before the process is there, and it
// reads its environment right then. See Inherited for what says it instead.
func (s *shell) environment() []string {
	env := s.o.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return ofAbove(key)
	})
	env = append(env, EnvKeeper+"="+strconv.Itoa(os.Getpid()), envNotify+"="+s.socket.name, envStore+"="+strconv.Itoa(s.store.max))
	if s.claim != nil {
		env = append(env, EnvAnswers+"="+strconv.Itoa(os.Getpid()))
	}
	if s.o.Watchdog > 0 {
		env = append(env, envWatchdog+"="+strconv.FormatInt(s.o.Watchdog.Microseconds(), 10))
	}
	if n := len(s.store.files); n > 0 {
		env = append(env, envFDs+"="+strconv.Itoa(n), envNames+"="+s.store.list())
	}
	return env
}
