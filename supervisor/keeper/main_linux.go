package keeper

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// envRole makes Main a keeper. Only Exec and Main use it, to say something to each other.
const envRole = "TINE_KEEPER_ROLE"

// Exec puts a keeper in the place of this process, with its PID, its arguments and its environment: o.Args, Env and Log are
// not looked at. It executes the program of this process anew, so that nothing of what this one has done so far takes
// memory in the keeper. The program has to call [Main]. Exec returns only an error.
//
// Descriptors that are not closed on exec stay open, and those of LISTEN_FDS go to the master.
func Exec(o Options) error { return o.exec(os.Environ()) }

func (o Options) exec(env []string) error {
	o = o.normal()
	role := fmt.Sprintf("%d %d %d %d %q %q", o.Watchdog, o.StopTimeout, o.MaxFiles, boolNumber(o.JSON), o.Command, o.Fallback)
	env = append(slices.DeleteFunc(env, func(kv string) bool {
		return strings.HasPrefix(kv, envRole+"=") || strings.HasPrefix(kv, envClaim+"=")
	}), envRole+"="+role)
	if o.Claim != nil {
		fd, err := descriptor(o.Claim)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		}
		if err != nil {
			return fmt.Errorf("cannot become the keeper: the claim: %w", err)
		}
		defer unix.CloseOnExec(fd)
		env = append(env, envClaim+"="+strconv.Itoa(fd)+" "+strconv.Quote(o.ClaimText))
	}
	const own = "/proc/self/exe"
	// By its name, which the process list shows, if that still names this program: what is there now may be half a file.
	var err error
	if path, e := os.Executable(); e == nil && sameProgram(path, own) {
		err = syscall.Exec(path, os.Args, env)
	}
	if err == nil || !ofMachine(err) {
		err = syscall.Exec(own, os.Args, env)
	}
	return fmt.Errorf("cannot become the keeper: %w", err)
}

func sameProgram(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// keepName gives a process that was started from /proc/self/exe the name in the process list that it would have from its
// path: people look for it.
func keepName() {
	var name [16]byte // TASK_COMM_LEN
	if unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0) != nil || unix.ByteSliceToString(name[:]) != "exe" || len(os.Args) == 0 {
		return
	}
	clear(name[:])
	copy(name[:len(name)-1], filepath.Base(os.Args[0]))
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
}

// Main is the whole life of a process that Exec has made a keeper, and returns at once in every other. It is to be the
// first call of main: what is done before takes memory as long as the keeper lives. The log is standard error.
func Main() {
	keepName()
	role, ok := os.LookupEnv(envRole)
	if !ok {
		return
	}
	o := Options{Args: os.Args, Env: withoutRole(os.Environ()), Log: os.Stderr}
	err := o.readRole(role)
	if err == nil {
		var files string
		files, o.succeeds = os.LookupEnv(envFiles)
		o.given, err = readGiven(files)
	}
	if err == nil {
		err = o.readClaim(os.Getenv(envClaim))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "keeper: cannot read %s=%s: %v\n", envRole, printable(role), err)
		os.Exit(CodeCannotExecute)
	}
	os.Exit(Run(o))
}

func (o *Options) readRole(role string) error {
	words := strings.SplitN(role, " ", 5)
	if len(words) != 5 {
		return fmt.Errorf("5 words are needed, not %d", len(words))
	}
	var numbers [4]int64
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseInt(words[i], 10, 64); err != nil {
			return err
		}
	}
	o.Watchdog, o.StopTimeout, o.MaxFiles = time.Duration(numbers[0]), time.Duration(numbers[1]), int(numbers[2])
	o.JSON = numbers[3] != 0
	rest := words[4]
	for _, text := range []*string{&o.Command, &o.Fallback} {
		quoted, err := strconv.QuotedPrefix(rest)
		if err == nil {
			*text, err = strconv.Unquote(quoted)
		}
		if err != nil {
			return err
		}
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	return nil
}

func boolNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

func withoutRole(env []string) []string {
	kept := make([]string, 0, len(env)+1)
	for _, kv := range env {
		if key, _, _ := strings.Cut(kv, "="); key != envRole && key != envFiles && key != envClaim {
			kept = append(kept, kv)
		}
	}
	return kept
}
