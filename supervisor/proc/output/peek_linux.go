package output

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	pageSize = 4 << 10 // at most: a pipe of larger pages has fewer slots, each of one page
	// maxPipe is how large a pipe is made whose writer has more to say than it takes.
	maxPipe = 256 << 10
	// crowdedReads is how many reads in a row must have found much in the pipe before it is made larger.
	crowdedReads = 8
)

// peeker is what a stream knows of its pipe. tee(2) copies what is in it to a private pipe of half as many slots: it
// always begins at the oldest byte, so what was read and is not taken out yet is copied again. A copy that brings nothing
// new although there is more says that half of the slots are in use; then there must be room for the rest of the line.
type peeker struct {
	size    int  // of the pipe, in bytes; 0: not asked yet
	plain   bool // it cannot be copied: what is read is taken out
	stuck   bool // it cannot be made larger
	crowded int  // reads in a row that found a quarter of it or more in use
}

// peek reads what follows the first held bytes of buf, of which the last ahead are still in the pipe, and leaves it there;
// EAGAIN: nothing. Of a pipe that has ended with bytes ahead it is io.EOF.
func (s *stream) peek(buf []byte, held int) (int, error) {
	for !s.plain {
		if s.size == 0 && !s.measure() {
			break
		}
		if s.ahead > 0 {
			if err := s.more(); err != nil {
				return 0, err
			}
		}
		from := held - s.ahead
		n, err := s.copy(buf[from:])
		switch {
		case err == syscall.EAGAIN || err == io.EOF:
			return 0, err
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
			s.surrender()
			return s.readAway(buf[held:])
		case err != nil:
			s.surrender()
			s.plain = true
		case n > s.ahead:
			if s.crowded++; n < s.size/4 {
				s.crowded = 0
			}
			if s.crowded == crowdedReads {
				s.enlarge()
			}
			n, s.ahead = n-s.ahead, n
			return n, nil
		case !s.enlarge():
			s.surrender()
		}
	}
	return s.readAway(buf[held:])
}

// measure learns the size of the pipe. One of a single page has no half.
func (s *stream) measure() bool {
	size, err := unix.FcntlInt(uintptr(s.raw), unix.F_GETPIPE_SZ, 0)
	s.size, s.plain = size, err != nil || size < 2*pageSize
	return !s.plain
}

// more reports whether there is more than what is ahead (TIOCINQ is FIONREAD here): EAGAIN: not yet; io.EOF: nothing will come.
func (s *stream) more() error {
	for hung := false; ; {
		n, err := unix.IoctlGetInt(s.raw, unix.TIOCINQ)
		switch {
		case err != nil || n > s.ahead:
			return nil
		case hung:
			return io.EOF
		}
		fds := []unix.PollFd{{Fd: int32(s.raw)}}
		if _, err := unix.Poll(fds, 0); err == unix.EINTR {
			continue
		}
		// What came before the end may have come after the look: it takes another.
		if hung = fds[0].Revents&unix.POLLHUP != 0; !hung {
			return syscall.EAGAIN
		}
	}
}

// copy copies what the pipe has from its oldest byte on.
func (s *stream) copy(buf []byte) (n int, err error) {
	c := copies.of(s.size / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return 0, err
	}
	for {
		var m int64
		m, err = unix.Tee(s.raw, c.w, len(buf), unix.SPLICE_F_NONBLOCK)
		if n = int(m); err != unix.EINTR {
			break
		}
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return 0, err
	}
	for got := 0; got < n; {
		m, err := syscall.Read(c.r, buf[got:n])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m == 0 {
			c.close()
			return 0, errors.Join(errors.New("cannot read the copy"), err)
		}
		got += m
	}
	return n, nil
}

// prepare opens what peeking needs before there is something to read: when it is needed there may be no descriptor left.
func (s *stream) prepare() {
	if s.size != 0 || !s.measure() {
		return
	}
	nowhere()
	c := copies.of(s.size / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.open() // copy tries again
}

// enlarge doubles the pipe. An unprivileged user may be refused.
func (s *stream) enlarge() bool {
	s.crowded = 0
	if s.stuck || s.size >= maxPipe {
		return false
	}
	size, err := unix.FcntlInt(uintptr(s.raw), unix.F_SETPIPE_SZ, 2*s.size)
	if err != nil {
		s.stuck = true
		return false
	}
	s.size = size
	return true
}

// surrender takes out what is ahead although it is not written: its writer could not go on otherwise.
func (s *stream) surrender() {
	s.take(s.ahead)
	s.ahead = 0
}

// take takes the oldest n bytes out of the pipe. They are there: nothing else reads.
func (s *stream) take(n int) {
	for n > 0 {
		var m int64
		err := error(unix.EBADF)
		if null := nowhere(); null >= 0 {
			m, err = unix.Splice(s.raw, nil, null, nil, n, unix.SPLICE_F_NONBLOCK)
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			var scratch [pageSize]byte
			k, err := syscall.Read(s.raw, scratch[:min(n, pageSize)])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || k == 0 {
				return
			}
			m = int64(k)
		}
		n -= int(m)
	}
}

// nowhere is /dev/null, opened once; negative: it cannot be.
var nowhere = sync.OnceValue(func() int {
	fd, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

// copies are the private pipes, one of each size. Each is kept open, and one is enough for all streams: it is in use for no
// longer than it takes to copy.
var copies copyPipes

type copyPipes struct {
	mu     sync.Mutex
	bySize map[int]*copyPipe
}

func (p *copyPipes) of(size int) *copyPipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.bySize[size]
	if c == nil {
		if p.bySize == nil {
			p.bySize = map[int]*copyPipe{}
		}
		c = &copyPipe{size: size}
		p.bySize[size] = c
	}
	return c
}

// copyPipe is empty while mu is free.
type copyPipe struct {
	size int

	mu     sync.Mutex
	isOpen bool
	r, w   int
}

// open makes the pipe, if there is none. The caller holds mu.
func (c *copyPipe) open() error {
	if c.isOpen {
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	c.r, c.w, c.isOpen = fds[0], fds[1], true
	got, err := unix.FcntlInt(uintptr(c.w), unix.F_SETPIPE_SZ, c.size)
	if err != nil { // to make it larger may be refused
		got, err = unix.FcntlInt(uintptr(c.w), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil || got > c.size { // a larger one would not tell that the other is crowded
		c.close()
		return errors.Join(errors.New("cannot make a private pipe"), err)
	}
	return nil
}

func (c *copyPipe) close() {
	syscall.Close(c.r)
	syscall.Close(c.w)
	c.isOpen = false
}
