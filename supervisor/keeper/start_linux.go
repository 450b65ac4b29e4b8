package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// start starts a master with the stored files as descriptors from 3 on, in a process group of its own: a Ctrl-C in the
// terminal reaches the keeper alone, which passes it on once. An empty command is that of the options.
func (s *shell) start(command string) {
	files := make([]uintptr, 0, 3+len(s.store.files))
	files = append(files, 0, 1, 2)
	for _, f := range s.store.files {
		files = append(files, uintptr(f.fd))
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Env: s.environment(), Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}}
	path := cmp.Or(command, s.o.Command)
	pid, err := syscall.ForkExec(path, s.o.Args, attr)
	if err != nil && command == "" && s.o.Fallback != "" && (s.core.served || s.core.failures > 0) {
		s.log.say("cannot execute %s: %v; executing %s instead", s.o.Command, err, s.o.Fallback)
		pid, err = syscall.ForkExec(s.o.Fallback, s.o.Args, attr)
	}
	if err != nil {
		code := CodeCannotExecute
		if errors.Is(err, syscall.ENOENT) {
			code = CodeNotFound
		}
		s.step(startFailed{fmt.Errorf("cannot execute %s: %w", path, err), code})
		return
	}
	s.follow(pid, pidfd)
	s.step(started{pid, command})
}

// environment is that of a master. LISTEN_PID is not in it: nobody knows the PID before the process is there, and it
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
	if s.o.Watchdog > 0 {
		env = append(env, envWatchdog+"="+strconv.FormatInt(s.o.Watchdog.Microseconds(), 10))
	}
	if n := len(s.store.files); n > 0 {
		env = append(env, envFDs+"="+strconv.Itoa(n), envNames+"="+s.store.list())
	}
	return env
}
