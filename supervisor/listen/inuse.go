package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Holder is a process that has an address open.
type Holder struct {
	PID  int
	Name string // as the system knows it; at most 15 bytes on Linux
}

// String is "name (PID 4711)".
func (h Holder) String() string { return fmt.Sprintf("%s (PID %d)", h.Name, h.PID) }

// InUseError says that a process listens on an address already, and which.
type InUseError struct {
	Address string
	Holders []Holder // by PID; empty if they cannot be seen from here

	uids []int // of the sockets that are in the way, also where their processes cannot be seen
	late bool  // the search ran out of time
}

// lookTimeout bounds the search for the holders of an address on a machine with many processes. It is a variable for
// tests: of what a search finds on a busy machine, and of very many failures.
var lookTimeout = 300 * time.Millisecond

// maxNamed bounds the list in a message: a prefork server has one process a CPU.
const maxNamed = 8

func (e *InUseError) Error() string {
	var b strings.Builder
	b.WriteString("address already in use")
	for i, h := range e.Holders[:min(len(e.Holders), maxNamed)] {
		b.WriteString([]string{" by ", ", "}[min(i, 1)])
		if h.PID == os.Getpid() {
			b.WriteString("this process itself: ")
		}
		b.WriteString(h.String())
	}
	if more := len(e.Holders) - maxNamed; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	switch me := os.Geteuid(); {
	case len(e.Holders) > 0:
	case e.late:
		fmt.Fprintf(&b, " by a process that was not found within %s", lookTimeout)
	case slices.ContainsFunc(e.uids, func(uid int) bool { return uid != me }):
		fmt.Fprintf(&b, " by a process of user id %d, which user id %d may not see", e.uids[0], me)
	default:
		b.WriteString(" by a process that cannot be seen from here")
	}
	return b.String()
}

// Is makes errors.Is(err, syscall.EADDRINUSE) true.
func (e *InUseError) Is(target error) bool { return target == unix.EADDRINUSE }

// InUse makes an error of net.Listen at a TCP address an [*InUseError], if that is what it says.
func InUse(err error, address string) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	a, parsed := Parse(address)
	if parsed != nil {
		return err
	}
	ep, resolved := a.resolve()
	if resolved != nil {
		return err
	}
	return fmt.Errorf("cannot listen on %s: %w", address, holdersOf(ep))
}

// inUse finds the process that is in the way, if err says that one is.
func inUse(err error, ep endpoint) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	return holdersOf(ep)
}
