package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sendTimeout is how long a notification waits for room in the queue of the receiver.
const sendTimeout = 5 * time.Second

// Client is a master's way to the process above it: the keeper, or systemd, which speak the same protocol. It may be used
// by several goroutines. A nil Client is that of a process with neither above it: it sends nothing, stores nothing, knows
// nothing, and makes no error of it.
type Client struct {
	conn   *net.UnixConn
	name   string
	ledger *ledger // of what systemd stores; nil: it is the keeper
}

// Dial opens the way that NOTIFY_SOCKET names. It returns (nil, nil) if that is not set. The variable stays: the new
// master of an upgrade finds the keeper by it, and workers are started without it.
func Dial() (*Client, error) {
	name := os.Getenv(envNotify)
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("cannot use %s=%s: a path or @NAME is needed", envNotify, printable(name))
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot use %s=%s: %w", envNotify, printable(name), err)
	}
	c := &Client{conn: conn, name: name}
	if PID() == 0 {
		c.ledger = &ledger{limit: c.Limit()}
	}
	return c, nil
}

// Close ends the way. What was stored stays stored.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	return c.conn.Close()
}

// Notify sends one notification of these lines, such as "READY=1" or "STATUS=4 workers": sd_notify(3). It returns when it
// is in the queue of the receiver, which takes at most 5 seconds.
func (c *Client) Notify(state ...string) error { return c.send(strings.Join(state, "\n"), nil) }

// Store has the files kept under a name of 1 to 255 printable ASCII bytes without a colon, for [Inherited] of the next
// master. They are duplicated: the caller's stay its own. Those that are kept already, under whatever name, are not kept
// twice. Files beyond the limit (see [Client.Limit]) are refused, those of a whole call of up to 253 files: by the keeper,
// which answers nothing but says so in its log, and for systemd by an error, as far as this process knows what is stored
// (see [Client.Held]): it wraps [ErrFull]. To be sure that they are kept, call Barrier, or ask [Client.Room].
func (c *Client) Store(name string, files ...*os.File) error {
	if c == nil {
		return nil
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("cannot store %s: %w", printable(name), err)
	}
	if c.ledger != nil {
		return c.storeNumbered(name, files)
	}
	const most = 253 // the kernel's SCM_MAX_FD
	for len(files) > 0 {
		some := files[:min(len(files), most)]
		if err := c.send(storeField+name, some); err != nil {
			return err
		}
		files = files[len(some):]
	}
	return nil
}

// storeField begins what stores files. FDPOLL=0: systemd would otherwise drop a file when its other end is closed.
const storeField = "FDSTORE=1\nFDPOLL=0\nFDNAME="

// storeNumbered stores files with systemd, each by a name of its own.
func (c *Client) storeNumbered(name string, files []*os.File) error {
	first, err := c.ledger.add(name, len(files))
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := c.send(storeField+numbered(name, first+i), []*os.File{f}); err != nil {
			return err
		}
	}
	return nil
}

// Remove has all files of the name closed.
func (c *Client) Remove(name string) error {
	if c == nil {
		return nil
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("cannot remove %s: %w", printable(name), err)
	}
	n := 1
	if c.ledger != nil {
		n = c.ledger.remove(name)
	}
	for k := range n {
		if err := c.send("FDSTOREREMOVE=1\nFDNAME="+numbered(name, k), nil); err != nil {
			return err
		}
	}
	return nil
}

// Limit is how many files are kept at most. 0: none, or it is not said.
func (c *Client) Limit() int {
	if c == nil {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv(envStore))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Barrier returns when everything that was sent before is done.
func (c *Client) Barrier(ctx context.Context) error {
	if c == nil {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe for a barrier: %w", err)
	}
	defer r.Close()
	err = c.send("BARRIER=1", []*os.File{w})
	w.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	// The end of the pipe: the receiver has closed the only other writer.
	if n, err := r.Read(make([]byte, 1)); n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s has not answered a barrier: %w", c.name, context.Cause(ctx))
	}
	return nil
}

func (c *Client) send(text string, files []*os.File) error {
	if c == nil {
		return nil
	}
	if len(text) > maxMessage {
		return fmt.Errorf("cannot notify %s: %d bytes, and %d is the most", c.name, len(text), maxMessage)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fd, err := descriptor(f)
		if err != nil {
			return err
		}
		fds[i] = fd
	}
	defer runtime.KeepAlive(files)
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("cannot notify %s: %w", c.name, err)
	}
	for deadline := time.Now().Add(sendTimeout); ; time.Sleep(time.Millisecond) {
		_ = c.conn.SetWriteDeadline(deadline)
		// Not WriteMsgUnix: it refuses a datagram socket that is connected.
		var sent error
		err := raw.Write(func(fd uintptr) bool {
			sent = syscall.Sendmsg(int(fd), []byte(text), oob, nil, 0)
			return sent != syscall.EAGAIN // else the queue is full: again when there is room
		})
		if err == nil {
			err = sent
		}
		if err == nil {
			return nil
		}
		// Passing: the kernel lacks memory, or too many files of this user are on their way (unix(7)).
		passing := errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ETOOMANYREFS) || errors.Is(err, syscall.EINTR)
		if !passing || time.Now().After(deadline) {
			return fmt.Errorf("cannot notify %s: %w", c.name, err)
		}
	}
}

// descriptor reads the number of f without touching its mode: f.Fd() may clear O_NONBLOCK on the description, which a
// listening socket shares with the workers. Of nil there is none, which is an error as for a file that is closed.
func descriptor(f *os.File) (fd int, err error) {
	if f == nil {
		return 0, fmt.Errorf("cannot pass on a file that is nil: %w", os.ErrInvalid)
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		return 0, fmt.Errorf("cannot pass on %s: %w", f.Name(), err)
	}
	return fd, nil
}
