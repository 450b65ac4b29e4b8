package keeper

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shell carries out what the core decides: one goroutine, which waits in poll.
type shell struct {
	o       Options
	log     *logger
	core    *core
	signals *signals
	socket  *socket
	up      *upstream
	store   *store
	claim   *claim // nil: none is held
	exits   exits

	pidfds  map[int]int  // of the masters by PID; -1: this kernel has none
	told    map[int]bool // children that got SIGTERM because they have lost their master
	refused int          // notifications
	poll    []unix.PollFd
	memory  *slimmer
	done    bool
	code    int
}

// Run is the keeper: it starts a master and keeps it until that ends in order, or until the keeper is told to stop. It
// returns the exit code of the process, which the caller is to end with it at once.
//
// It changes the whole process for good - its signals, its limit of descriptors, whether it adopts orphans, its garbage
// collector - and reaps every child of it. So it is all that a process does, and is called once.
func Run(o Options) (code int) {
	o = o.normal()
	log := newLogger(o.Log, o.JSON)
	defer log.close()
	s := &shell{o: o, log: log, pidfds: map[int]int{}, told: map[int]bool{}}
	defer s.close()
	if err := s.prepare(); err != nil {
		log.say("%v", err)
		return 1
	}
	s.core = &core{
		watchdog: s.o.Watchdog, stopTimeout: o.StopTimeout, program: o.Command, fallback: o.Fallback,
		begun: o.succeeds, served: o.succeeds,
	}
	s.step(begin{})
	for !s.done {
		s.turn()
	}
	return s.code
}

func (s *shell) prepare() (err error) {
	if s.signals, err = insist(s, catchSignals); err != nil {
		return fmt.Errorf("cannot make a pipe for signals: %w", err)
	}
	// Signals that Succeed has held back come now. A master is started by this thread, and gets its mask.
	runtime.LockOSThread()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20) // of a heap of a few hundred kilobytes; the default lets it grow to 4 MiB first
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil && os.Getpid() != 1 {
		s.log.say("cannot adopt orphans: %v", err)
	}
	s.store = newStore(s.o.MaxFiles)
	s.inherit()
	s.holdClaim()
	// Whatever else this process was started with stays with it.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if s.socket, err = insist(s, openSocket); err != nil {
		return err
	}
	if s.up, err = openUpstream(os.Getenv(envNotify)); err != nil {
		s.log.say("%v", err)
	}
	s.memory = newSlimmer()
	s.memory.busy = true
	if s.o.Watchdog == 0 {
		s.o.Watchdog = watchdogOf(os.Getenv, os.Getpid()) / 2
	}
	return nil
}

// insistFor is how long a keeper that was a master tries to get what it needs itself: there are workers that serve.
const insistFor = 2 * time.Minute

// insist tries again where what fails is a lack of the machine's, and there is something to lose.
func insist[T any](s *shell, open func() (T, error)) (got T, err error) {
	begin := time.Now()
	for failures := 2; ; failures++ {
		got, err = open()
		if err == nil || !s.o.succeeds || !ofMachine(err) || time.Since(begin) > insistFor {
			return got, err
		}
		s.log.say("cannot be the keeper yet: %v; trying again in %s", err, delay(failures))
		time.Sleep(delay(failures))
	}
}

// inherit stores what the keeper itself was given, by socket activation or by a descriptor store: it is for the master.
func (s *shell) inherit() {
	n, names, err := inheritance(os.Getenv, os.Getpid(), 0)
	if err != nil {
		s.log.say("%v", err)
	}
	for i := range n {
		unix.CloseOnExec(firstInherited + i)
		if err := s.store.add(names[i], []int{firstInherited + i}); err != nil {
			s.log.say("cannot keep the inherited %s: %v", names[i], err)
		}
	}
	// They are open already, and what is closed now is lost to the workers that serve.
	s.store.max = max(s.store.max, len(s.o.given))
	for _, g := range s.o.given {
		unix.CloseOnExec(g.fd)
		if err := s.store.add(g.name, []int{g.fd}); err != nil {
			s.log.say("cannot keep %s of the master that this process was: %v", g.name, err)
		}
	}
	if len(s.o.given) > 0 {
		s.log.say("process %d is the keeper now, with %d files of the master that it was", os.Getpid(), len(s.store.files))
	}
}

func (s *shell) close() {
	for _, fd := range s.pidfds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if s.store != nil {
		s.store.close()
	}
	if s.socket != nil {
		unix.Close(s.socket.fd)
	}
	s.up.close()
	s.claim.close()
}

// turn waits until something happens, and sees to it.
func (s *shell) turn() {
	if s.core.phase == ending {
		if s.reapAll(); s.done {
			return
		}
	}
	s.poll = append(s.poll[:0],
		unix.PollFd{Fd: int32(s.socket.fd), Events: unix.POLLIN},
		unix.PollFd{Fd: int32(s.signals.pipe[0]), Events: unix.POLLIN},
		unix.PollFd{Fd: -1, Events: unix.POLLIN})
	for _, fd := range s.pidfds {
		if fd >= 0 {
			s.poll = append(s.poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	wait := -1 * time.Millisecond
	if at := s.core.deadline(); !at.IsZero() {
		wait = max(0, time.Until(at)+time.Millisecond-1) // rounded up
	}
	claim, wait := s.claim.watched(time.Now(), wait)
	s.poll[2].Fd = int32(claim)
	resting := s.memory.busy && (wait < 0 || wait > restful)
	if resting {
		wait = restful
	}
	n, err := unix.Poll(s.poll, int(min(wait.Milliseconds(), math.MaxInt32)))
	if n > 0 {
		s.memory.busy = true
	} else if n == 0 && resting {
		s.memory.rest()
	}
	if err != nil && err != unix.EINTR {
		s.log.say("cannot wait: %v", err)
		time.Sleep(time.Second) // it cannot be, but if it is, the keeper shall not spin
	}
	if n > 0 && s.poll[0].Revents != 0 {
		s.receive(burst)
	}
	var ended bool
	s.signals.take(func(sig syscall.Signal) {
		if forwarded(sig) {
			s.step(signalled{sig})
		}
		ended = ended || sig == syscall.SIGCHLD
	})
	for _, p := range s.poll[3:] {
		ended = ended || p.Revents != 0
	}
	if ended {
		s.reapAll()
		s.seeStrangers()
	}
	if at := s.core.deadline(); !at.IsZero() && !time.Now().Before(at) {
		s.receive(lastWords) // before any master is judged by the time
	}
	if n > 0 && s.poll[2].Revents != 0 { // last, so that what has come before the question counts
		s.answerClaims()
	}
	s.step(tick{})
}

// step has the core decide, and carries it out.
func (s *shell) step(ev event) {
	for _, e := range s.core.step(time.Now(), ev) {
		switch e := e.(type) {
		case start:
			s.start(e.program)
		case send:
			if e.signal == syscall.SIGABRT {
				s.log.settle() // why it is aborted stands before what it prints
			}
			s.send(e.pid, e.signal)
		case endOrphans:
			s.endOrphans(e.kill)
		case tell:
			s.up.tell(e.state)
		case say:
			s.log.write(e.text, e.calm)
		case exit:
			s.done, s.code = true, e.code
		}
	}
}

// follow remembers how to see the end of a master. pidfd: -1 if it is to be opened.
func (s *shell) follow(pid, pidfd int) {
	if pidfd < 0 {
		var err error
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			pidfd = -1
		}
	}
	s.pidfds[pid] = pidfd
}

func (s *shell) forget(pid int) {
	if fd := s.pidfds[pid]; fd >= 0 {
		unix.Close(fd)
	}
	delete(s.pidfds, pid)
}

func (s *shell) send(pid int, sig syscall.Signal) {
	fd, ok := s.pidfds[pid]
	if !ok {
		return // it has ended
	}
	err := unix.ENOSYS
	if fd >= 0 {
		err, _ = unix.PidfdSendSignal(fd, sig, nil, 0).(syscall.Errno)
	}
	if err == unix.ENOSYS || err == unix.EPERM { // of a sandbox that does not know the call
		err, _ = unix.Kill(pid, sig).(syscall.Errno)
	}
	if err != 0 && err != unix.ESRCH {
		s.log.say("cannot send %s to master %d: %v", sig, pid, err)
	}
}
