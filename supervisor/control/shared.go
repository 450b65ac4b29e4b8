package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SharedListener is a listening socket that a master hands on to the one that follows it: both have it for a while, and
// one of them accepts. What waits in the kernel's queue meanwhile is accepted by the master that goes on.
type SharedListener struct {
	listener

	mu        sync.Mutex    // Pause and Resume come one after the other
	accepting sync.RWMutex  // held for reading by each Accept in the kernel; Pause waits for them to come back
	paused    chan struct{} // closed when it goes on; nil: it is not paused
	closed    chan struct{}
	once      sync.Once
}

type listener interface {
	net.Listener
	SetDeadline(time.Time) error
	SyscallConn() (syscall.RawConn, error)
}

// Share takes over a *net.TCPListener or a *net.UnixListener.
func Share(l net.Listener) (*SharedListener, error) {
	of, ok := l.(listener)
	if !ok {
		return nil, fmt.Errorf("cannot share a %T", l)
	}
	return &SharedListener{listener: of, closed: make(chan struct{})}, nil
}

// Inherit is Share for the socket that another master has handed on. f stays the caller's.
func Inherit(f *os.File) (*SharedListener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket that was handed on: %w", err)
	}
	s, err := Share(l)
	if err != nil {
		l.Close()
	}
	return s, err
}

// Accept waits while the listener is paused.
func (s *SharedListener) Accept() (net.Conn, error) {
	for {
		conn, paused, err := s.acceptOne()
		if paused != nil {
			select {
			case <-paused:
				continue
			case <-s.closed:
				return nil, net.ErrClosed
			}
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
	}
}

func (s *SharedListener) acceptOne() (conn net.Conn, paused <-chan struct{}, err error) {
	s.accepting.RLock()
	defer s.accepting.RUnlock()
	if s.paused != nil {
		return nil, s.paused, nil
	}
	conn, err = s.listener.Accept()
	return conn, nil, err
}

// Pause leaves new connections to the other process that has the socket. When it returns, Accept takes none any more: the past
// deadline has every Accept come back from the kernel at once.
func (s *SharedListener) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused != nil {
		return
	}
	_ = s.SetDeadline(time.Unix(1, 0)) // it is closed: no goroutine accepts any more
	s.accepting.Lock()
	defer s.accepting.Unlock()
	s.paused = make(chan struct{})
}

// Resume takes them again.
func (s *SharedListener) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == nil {
		return
	}
	_ = s.SetDeadline(time.Time{})
	s.accepting.Lock()
	defer s.accepting.Unlock()
	close(s.paused)
	s.paused = nil
}

// Close may be called more than once.
func (s *SharedListener) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.listener.Close()
}

// File is a duplicate of the socket, which the caller closes. It is closed on exec.
func (s *SharedListener) File() (*os.File, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot hand on %s: %w", s.Addr(), err)
	}
	var f *os.File
	cerr := raw.Control(func(fd uintptr) { // net's own File makes it blocking for all who share it
		var n int
		if n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			f = os.NewFile(uintptr(n), s.Addr().String())
		}
	})
	if err = errors.Join(err, cerr); err != nil {
		return nil, fmt.Errorf("cannot hand on %s: %w", s.Addr(), err)
	}
	return f, nil
}
