package keeper

import (
	"errors"
	"slices"
	"syscall"
)

// The programs that a master can be started from are tried in this order, each time anew:
//
//  1. the program of the master that was in charge last, where an upgrade has named one
//  2. Options.Command, what the keeper was started with
//  3. Options.Fallback, usually the file of the keeper itself: it can be executed as long as the keeper runs, also when its
//     name is gone
//
// The next one is tried at once when something is wrong with the file: it is gone, busy, no program, a folder, or not to be
// executed. What is wrong with the machine (no memory, no process, no descriptor) would fail with another file too: that waits.

// programs are those that there are, the first choice first.
func (c *core) programs() []string {
	list := []string{c.program}
	if c.command != "" && c.command != c.program {
		list = []string{c.command, c.program}
	}
	if c.fallback != "" && !slices.Contains(list, c.fallback) {
		list = append(list, c.fallback)
	}
	return list
}

// silentTries is how many masters in a row may end by themselves without a word before the next program has its turn: half
// a file may be executable, and crash at once.
const silentTries = 2

// choose is what the next master is started from.
func (c *core) choose() string {
	list := c.programs()
	i := c.silent / silentTries % len(list)
	if c.silent > 0 && c.silent%silentTries == 0 && i > 0 {
		c.say("%d masters in a row have ended without a word: executing %s", c.silent, list[i])
	}
	return list[i]
}

// below is what is tried next where a program cannot be executed.
func (c *core) below(program string) (next string, ok bool) {
	list := c.programs()
	if i := slices.Index(list, program); i >= 0 && i+1 < len(list) {
		return list[i+1], true
	}
	return "", false
}

// wordless reports whether a master has ended as a file does that is not a whole program: without having been killed.
func wordless(m *master, st status) bool {
	if m.spoke || st.lost {
		return false
	}
	switch st.signal {
	case 0, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGFPE:
		return true
	}
	return false
}

// ofMachine reports whether a start has failed for what another file would fail for too.
func ofMachine(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EINTR,
		syscall.E2BIG, syscall.EBADF, // a descriptor beyond the limit
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// passing reports whether what is wrong with a file may soon be right again.
func passing(err error) bool {
	return errors.Is(err, syscall.ETXTBSY) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ESTALE)
}

// startFailed tries the next program, or waits. Only a keeper that never had a master ends: below every other there may be
// workers that serve, of one that has become the keeper too.
func (c *core) startFailed(program string, err error) {
	what := "cannot execute " + program + ": " + err.Error()
	code := CodeCannotExecute
	if errors.Is(err, syscall.ENOENT) {
		code = CodeNotFound
	}
	next, ok := c.below(program)
	switch {
	case ok && !ofMachine(err):
		c.say("%s; executing %s instead", what, next)
		if program == c.command && !passing(err) {
			c.command = "" // for good
		}
		c.emit(start{next})
	case !c.begun || c.phase == stopping:
		c.say("%s", what)
		c.end(code)
	default:
		c.failures++
		c.wait(what)
	}
}
