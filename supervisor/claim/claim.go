package claim

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNone says that no process holds the claim.
var ErrNone = errors.New("no master has this name")

// ErrSilent says that a holder of this user did not answer in time: it is stopped or hangs, or the claim is in the store of a
// systemd that is about to start the next master.
var ErrSilent = errors.New("it does not answer")

// TakenError says that another master of this user has the name.
type TakenError struct {
	About        // PID alone is known where it did not answer, and 0 where nothing is
	Err   error  // why it said nothing; nil: it answered
	name  string // that was asked for
}

func (e *TakenError) Error() string {
	name := cmp.Or(e.name, e.Name)
	text := name + " runs already" + inBrackets(e.PID)
	if e.Err != nil {
		return text + ", but " + e.Err.Error()
	}
	return text
}

func inBrackets(pid int) string {
	if pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func (e *TakenError) Unwrap() error { return e.Err }

// StrangerError says that a process of another user holds a claim of this user. Nothing that it says is believed.
type StrangerError struct {
	Address  string
	UID, PID int // PID 0: it is not known
}

func (e *StrangerError) Error() string {
	return fmt.Sprintf("user %d%s has taken %s, the name by which this user's master is found", e.UID, inBrackets(e.PID), e.Address)
}

// askTimeout bounds one question to a holder, which answers at once.
const askTimeout = 2 * time.Second

// attempts is how often Take tries to get a claim whose holder ends at the same moment.
const attempts = 20

// Claim is held by this process, and by each other that has a duplicate of its file, until all have closed it. Its methods
// may be called by several goroutines.
type Claim struct {
	file    *os.File
	address string
	end     func() // of Serve; nil: it does not serve
}

// Address is what the claim is known by: an abstract name, or the path of a file.
func (c *Claim) Address() string { return c.address }

// Name is what was claimed, as [FileName] writes it: a short and plain name as it is.
func (c *Claim) Name() string {
	name := filepath.Base(c.address)
	if strings.HasPrefix(c.address, "@") {
		return name
	}
	return strings.TrimSuffix(name, claimSuffix)
}

// File is the claim for a process that is to hold it too. It stays the Claim's. nil has none.
func (c *Claim) File() *os.File {
	if c == nil {
		return nil
	}
	return c.file
}

// Found is a claim that a process holds, and what it says of itself.
type Found struct {
	About
	Address string
	Err     error // as of [Ask]
}

// maxFound is how many holders are asked at most.
const maxFound = 1024
