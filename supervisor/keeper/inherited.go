package keeper

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The environment by which systemd speaks: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
const (
	envNotify      = "NOTIFY_SOCKET"
	envFDs         = "LISTEN_FDS"
	envPID         = "LISTEN_PID"
	envNames       = "LISTEN_FDNAMES"
	envStore       = "FDSTORE"
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID"
)

// EnvAnswers is the PID of the keeper, for a master whose keeper answers on the claim: see [Options].Claim. One that does not
// know the variable passes it on, from a keeper before it: that has another PID.
const EnvAnswers = "TINE_KEEPER_ANSWERS"

// EnvPIDFile names the file that tells systemd the PID of the master: see [Client.Lead]. It is not systemd's: the unit says
// by it what its PIDFile= is.
const EnvPIDFile = "MAINPIDFILE"

const (
	firstInherited = 3
	maxInherited   = 1 << 20
	unnamed        = "unknown" // sd_listen_fds_with_names(3)
)

// Inherited takes the files that this process was started with: those that a master before it has stored, with the keeper
// or with systemd, and the sockets of socket activation. They come by name, those of one name in the order in which they
// were stored; without names all are "unknown". They belong to the caller and are closed on exec. Where there are none it
// returns an empty map, and so does a second call: LISTEN_FDS and its like are removed from the environment, so that
// children of this process do not take the files for theirs.
//
// They are for this process if LISTEN_PID is its PID, as systemd says it. The keeper cannot say it, as a process's
// environment is made before its PID: from the keeper they are for each child of it that has no LISTEN_PID.
//
// In an error nothing is taken; the files stay open, but are closed on exec.
func Inherited() (map[string][]*os.File, error) {
	defer func() {
		for _, key := range []string{envFDs, envPID, envNames, "LISTEN_PIDFDID"} {
			os.Unsetenv(key)
		}
	}()
	n, names, err := inheritance(os.Getenv, os.Getpid(), os.Getppid())
	files := map[string][]*os.File{}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		syscall.CloseOnExec(fd)
	}
	if err != nil {
		return files, err
	}
	for _, i := range inOrder(names) {
		name, _ := number(names[i])
		files[name] = append(files[name], os.NewFile(uintptr(firstInherited+i), name))
	}
	return files, nil
}

// inOrder are the indices of names, those of numbered ones in their order. See ledger.
func inOrder(names []string) []int {
	all := make([]int, len(names))
	for i := range all {
		all[i] = i
	}
	slices.SortStableFunc(all, func(i, j int) int {
		_, a := number(names[i])
		_, b := number(names[j])
		return a - b
	})
	return all
}

// inheritance reads what LISTEN_FDS and its like say to the process pid. A keeper is believed if it is the parent. n may be
// more than 0 in an error: so many descriptors were said to be there. Without one there are n names.
func inheritance(getenv func(string) string, pid, parent int) (n int, names []string, err error) {
	text := getenv(envFDs)
	switch whose := getenv(envPID); {
	case text == "":
		return 0, nil, nil
	case whose == strconv.Itoa(pid):
	case whose == "" && parent > 0 && getenv(EnvKeeper) == strconv.Itoa(parent):
	default:
		return 0, nil, nil
	}
	n, err = strconv.Atoi(text)
	if err != nil || n < 0 || n > maxInherited {
		return 0, nil, fmt.Errorf("cannot use %s=%q: a number of descriptors up to %d is needed", envFDs, printable(text), maxInherited)
	}
	if n == 0 {
		return 0, nil, nil
	}
	names = make([]string, n)
	for i := range names {
		names[i] = unnamed
	}
	if list := getenv(envNames); list != "" {
		names = strings.Split(list, ":")
	}
	if len(names) != n {
		return n, nil, fmt.Errorf("cannot use %s: %d names for %d descriptors", envNames, len(names), n)
	}
	for i, name := range names {
		if err := isOpen(firstInherited + i); err != nil {
			return 0, nil, fmt.Errorf("cannot use %s=%d: descriptor %d (%s) is not open: %w", envFDs, n, firstInherited+i, printable(name), err)
		}
		if name == "" {
			names[i] = unnamed
		} else if err := checkName(name); err != nil {
			return n, nil, fmt.Errorf("cannot use %s: %w", envNames, err)
		}
	}
	return n, names, nil
}

// WatchdogInterval is how long this process may be silent before it is taken for hung: it sends "WATCHDOG=1" twice as
// often. 0: it is not watched.
func WatchdogInterval() time.Duration { return watchdogOf(os.Getenv, os.Getpid()) }

// SucceedWatchdog is for the new master of an upgrade: it takes for its own what the environment, which is that of the first
// master, has asked of that one. systemd watches the main process.
func SucceedWatchdog() {
	if os.Getenv(envWatchdogPID) != "" {
		os.Setenv(envWatchdogPID, strconv.Itoa(os.Getpid()))
	}
}

func watchdogOf(getenv func(string) string, pid int) time.Duration {
	if whose := getenv(envWatchdogPID); whose != "" && whose != strconv.Itoa(pid) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv(envWatchdog), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return min(time.Duration(min(usec, maxWatchdog.Microseconds()))*time.Microsecond, maxWatchdog)
}

// PID is that of the keeper above this process, or above a master that has started this one. 0: there is none.
func PID() int {
	pid, err := strconv.Atoi(os.Getenv(EnvKeeper))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}

// Answers reports whether the keeper above this process answers on the claim. One before Options.Claim was does not.
func Answers() bool {
	pid := PID()
	return pid != 0 && os.Getenv(EnvAnswers) == strconv.Itoa(pid)
}
