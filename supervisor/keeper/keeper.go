package keeper

import (
	"errors"
	"io"
	"os"
	"time"
)

// EnvKeeper is the environment variable with the PID of the keeper. Every master below it has it, those of an upgrade
// too.
const EnvKeeper = "TINE_KEEPER_PID"

// Exit codes of a keeper that could not start its first master, as of a shell.
const (
	CodeCannotExecute = 126
	CodeNotFound      = 127
)

// Defaults of Options.
const (
	DefaultStopTimeout = 10 * time.Second
	DefaultMaxFiles    = 4096
)

// ErrNoKeeper is what this system answers where only Linux has what it takes.
var ErrNoKeeper = errors.New("no keeper here: it needs Linux")

// Options say what a keeper keeps.
type Options struct {
	// Command is the absolute path of the master's program, looked at anew for each start; an upgrade may put another one
	// in its place (see Client.Lead), to which it is the way back. If the file is gone, busy or no program, the master is
	// started from Fallback, where that is not empty. "/proc/self/exe" is the program of the keeper itself, also when its
	// file is gone.
	Command, Fallback string
	// Args are the arguments, the program's name first. Env is the environment; nil: that of the keeper. What the keeper
	// says to the master is added, what others have said in the same words is taken out.
	Args, Env []string
	// Log gets what the keeper has to say, one line in each Write, from one goroutine. What it does not take in time is
	// dropped, and counted in the next line. nil: nothing is said.
	Log io.Writer
	// JSON makes each line an object, with level, time, keeper (its PID) and message. Else it is plain text.
	JSON bool
	// Watchdog is the longest time, at most a day, that a ready master may be silent: see WATCHDOG_USEC in
	// sd_watchdog_enabled(3). 0: half of what is asked of the keeper itself, if anything is; else there is none.
	Watchdog time.Duration
	// StopTimeout is how long what has lost its master has from SIGTERM to SIGKILL in a stop. A master is given no
	// time: it bounds its own stop. 0: DefaultStopTimeout.
	StopTimeout time.Duration
	// MaxFiles is how many files are stored at most. 0: DefaultMaxFiles. A lower RLIMIT_NOFILE lowers it to less than
	// half of that: starting a process takes two descriptors a file.
	MaxFiles int
	// Claim is the listening socket by which the master is found and is the only one of its name: see package claim. The
	// keeper holds it as long as it lives, stores it for the masters as [ClaimName], and answers on it, with ClaimText
	// before what it knows itself. nil: there is none. It stays the caller's.
	Claim *os.File
	// ClaimText are lines KEY=VALUE, each with its line feed.
	ClaimText string

	succeeds bool    // this process was a master: Succeed
	given    []given // by it
}

func (o Options) normal() Options {
	if o.StopTimeout <= 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.Fallback == o.Command {
		o.Fallback = ""
	}
	o.Watchdog = min(max(o.Watchdog, 0), maxWatchdog)
	return o
}

// given is a file that was there before the keeper was.
type given struct {
	name string
	fd   int
}
