package keeper

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envFiles names the files that Succeed hands to Main, as "FD NAME" with colons between, and says by being there that the
// process was a master. It is of no other use.
const envFiles = "TINE_KEEPER_FILES"

// Succeed puts a keeper in the place of this process, a master whose own keeper has ended, and returns only an error: then
// nothing has changed. A process cannot get another parent, but it can become one: the children of this process, its
// workers, are the keeper's then, and so is its PID. The keeper starts a master with the same arguments, which finds the files
// as [Inherited], as after a crash: what this process has not stored in them is lost. o is as in Exec; without o.Watchdog, that of the keeper
// before holds. The files stay the caller's.
//
// Whatever signal comes meanwhile waits for the keeper.
func Succeed(o Options, files map[string][]*os.File) error {
	var all []given
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := checkName(name); err != nil {
			return fmt.Errorf("cannot become the keeper: %w", err)
		}
		for _, f := range files[name] {
			fd, err := descriptor(f)
			if err != nil {
				return fmt.Errorf("cannot become the keeper: %w", err)
			}
			all = append(all, given{name, fd})
		}
	}
	if o.Watchdog == 0 {
		o.Watchdog = WatchdogInterval()
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return ofAbove(key)
	})
	env = append(env, envFiles+"="+givenText(all)) // also if there are none: it says what the keeper was

	syscall.ForkLock.Lock() // else a child that is started now would have the files too
	defer syscall.ForkLock.Unlock()
	defer runtime.KeepAlive(files)
	for _, g := range all {
		defer unix.CloseOnExec(g.fd)
		if _, err := unix.FcntlInt(uintptr(g.fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("cannot become the keeper: %s: %w", g.name, err)
		}
	}
	runtime.LockOSThread() // its signal mask is that of the program to come
	defer runtime.UnlockOSThread()
	var before, blocked unix.Sigset_t
	for s := syscall.Signal(1); s <= 64; s++ {
		if forwarded(s) {
			blocked.Val[(s-1)/wordBits] |= 1 << ((s - 1) % wordBits)
		}
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		return fmt.Errorf("cannot become the keeper: cannot hold signals back: %w", err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return o.exec(env)
}

const wordBits = syscall.Signal(strconv.IntSize)

// ofAbove reports whether a variable is what a keeper, or systemd, says to a master.
func ofAbove(key string) bool {
	return key == EnvKeeper || key == EnvAnswers || strings.HasPrefix(key, "LISTEN_") ||
		key == envNotify || key == envStore || key == "MAINPID" || key == EnvPIDFile || strings.HasPrefix(key, "WATCHDOG_")
}

func givenText(all []given) string {
	var b strings.Builder
	for i, g := range all {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%d %s", g.fd, g.name)
	}
	return b.String()
}

func readGiven(text string) (all []given, err error) {
	if text == "" {
		return nil, nil
	}
	for one := range strings.SplitSeq(text, ":") {
		number, name, _ := strings.Cut(one, " ")
		fd, err := strconv.Atoi(number)
		if err == nil && fd < firstInherited {
			err = errors.New("3 is the least")
		}
		if err == nil {
			err = checkName(name)
		}
		if err == nil {
			err = isOpen(fd)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", printable(one), err)
		}
		all = append(all, given{name, fd})
	}
	return all, nil
}
