package keeper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// envClaim gives Main Options.Claim and ClaimText, as "FD QUOTED". It is what Exec and Main have to say to each other.
const envClaim = "TINE_KEEPER_CLAIM"

// claim is the socket by which the master is found, whichever lives: see package claim, which asks. Each connection is
// answered with lines KEY=VALUE at once, and closed.
type claim struct {
	fd      int
	text    string    // of Options
	control string    // a line of its own, after it; empty: text holds
	rest    time.Time // until then no question is answered, for want of descriptors
}

func (o *Options) readClaim(text string) error {
	if text == "" {
		return nil
	}
	number, quoted, _ := strings.Cut(text, " ")
	fd, err := strconv.Atoi(number)
	if err == nil && fd < firstInherited {
		err = errors.New("3 is the least")
	}
	if err == nil {
		err = isOpen(fd)
	}
	if err == nil {
		o.ClaimText, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return fmt.Errorf("cannot use the claim %q: %w", printable(text), err)
	}
	o.Claim = os.NewFile(uintptr(fd), "claim")
	return nil
}

// holdClaim takes Options.Claim. That it listens again has the kernel name this process to who connects.
func (s *shell) holdClaim() {
	if s.o.Claim == nil {
		return
	}
	fd, err := descriptor(s.o.Claim)
	var own, kept int
	if err == nil {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstInherited)
	}
	if err == nil {
		s.claim = &claim{fd: own, text: s.o.ClaimText}
		if err = unix.SetNonblock(own, true); err == nil {
			err = unix.Listen(own, claimBacklog)
		}
	}
	if err == nil {
		if kept, err = unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, firstInherited); err == nil {
			err = s.store.add(ClaimName, []int{kept})
		}
	}
	if err != nil {
		s.log.say("cannot hold the claim of this master's name: %v", err)
	}
}

// claimRest is how long no question is answered after an answer has failed.
const claimRest = time.Second

// claimBacklog is how many questions wait.
const claimBacklog = 64

// watched is what poll is to wait for, and for how long at most; -1: as long as it likes.
func (c *claim) watched(now time.Time, wait time.Duration) (int, time.Duration) {
	const none = -1 // poll passes over it
	if c == nil {
		return none, wait
	}
	if d := c.rest.Sub(now); d > 0 {
		if wait < 0 || d < wait {
			wait = d + time.Millisecond
		}
		return none, wait
	}
	return c.fd, wait
}

func (c *claim) close() {
	if c != nil {
		unix.Close(c.fd)
	}
}

func (c *claim) moved(control string) {
	if c != nil {
		c.control = "control=" + control + "\n"
	}
}

// answerClaims answers each question, but not a stranger's: the address is open to all in the network namespace. It never waits, as
// a new connection has room for so little.
func (s *shell) answerClaims() {
	for range burst {
		conn, _, err := unix.Accept4(s.claim.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			if err != unix.EAGAIN { // else it would be tried again without end
				s.claim.rest = time.Now().Add(claimRest)
			}
			return
		}
		cred, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid()) {
			text := s.claim.text + s.claim.control + s.core.about(os.Getpid(), time.Now())
			_, _ = unix.SendmsgN(conn, []byte(text), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		unix.Close(conn)
	}
}
