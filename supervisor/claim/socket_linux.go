package claim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	prefix  = "@tine/1/"
	backlog = 64 // questions that wait
)

// Address is the abstract name of the claim of a master of this process's user, mount namespace and world, with a leading @.
func Address(name string) string { return own() + FileName(name) }

// own begins the addresses of all claims that this process can take.
func own() string {
	return prefix + strconv.Itoa(os.Geteuid()) + "/" + mounts() + "/" + worldWord() + "/"
}

// mounts names the mount namespace of this process: the inode that /proc tells, else the mount of its root, whose number no
// mount of another namespace has.
var mounts = sync.OnceValue(func() string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &st); err == nil {
		return strconv.FormatUint(st.Ino, 10)
	}
	var stx unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_MNT_ID, &stx); err == nil && stx.Mask&unix.STATX_MNT_ID != 0 {
		return "m" + strconv.FormatUint(stx.Mnt_id, 10)
	}
	return "0"
})

// Take makes this process the holder of the claim of a name. A *[TakenError] says which master has it, a *[StrangerError]
// that another process keeps it from this user. It takes at most some seconds.
func Take(ctx context.Context, name string) (*Claim, error) {
	address := Address(name)
	for n := 1; ; n++ {
		fd, err := bind(address)
		if err == nil {
			return &Claim{file: os.NewFile(uintptr(fd), address), address: address}, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("cannot take the name %s: %w", address, err)
		}
		a, err := ask(ctx, address)
		switch {
		case errors.Is(err, ErrNone) && n < attempts:
			select {
			case <-time.After(10 * time.Millisecond): // its holder has just ended
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			continue
		case errors.Is(err, ErrNone):
			return nil, fmt.Errorf("cannot take the name %s: a process has it that does not listen", address)
		case errors.Is(err, ErrSilent):
			return nil, &TakenError{About: a, Err: ErrSilent, name: name}
		case err != nil:
			return nil, err
		}
		return nil, &TakenError{About: a, name: name}
	}
}

// bind makes a socket that has the address and listens. It does not block, and is closed on exec.
func bind(address string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: address}); err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Adopt takes the file that another holder has handed on, whatever its name. It is the Claim's, also in an error.
func Adopt(f *os.File) (*Claim, error) {
	var got unix.Sockaddr
	raw, err := f.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { got, err = unix.Getsockname(int(fd)) })
		err = errors.Join(err, cerr)
	}
	if err == nil {
		if sa, ok := got.(*unix.SockaddrUnix); !ok || !strings.HasPrefix(sa.Name, prefix) {
			err = errors.New("it is not a claim")
		} else {
			return &Claim{file: f, address: sa.Name}, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("cannot take over the name of the last master: %w", err)
}

// Serve has this process answer clients, until Close. It is for a master that no keeper answers for. about is called in a
// goroutine for each question, and must not wait.
func (c *Claim) Serve(about func() About) error {
	if c.end != nil {
		return nil
	}
	raw, err := c.file.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) }) // so that the kernel names this process
		err = errors.Join(err, cerr)
	}
	var l net.Listener
	if err == nil {
		l, err = net.FileListener(c.file)
	}
	if err != nil {
		return fmt.Errorf("cannot answer at %s: %w", c.address, err)
	}
	ended := make(chan struct{})
	c.end = func() { l.Close(); <-ended }
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil: // such as no descriptor left
				time.Sleep(50 * time.Millisecond)
				continue
			}
			answer(conn.(*net.UnixConn), about)
		}
	}()
	return nil
}

// Changed says that about says something else from now on, to those who do not ask for it.
func (c *Claim) Changed(func() About) error { return nil }

// answer never waits: a new connection has room for so little.
func answer(conn *net.UnixConn, about func() About) {
	defer conn.Close()
	if cred, err := peer(conn); err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid()) {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(conn, about().text())
	}
}

// Close lets go of the claim. Others that have its file hold it on.
func (c *Claim) Close() error {
	if c == nil {
		return nil
	}
	if c.end != nil {
		c.end()
	}
	return c.file.Close()
}

func peer(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(err, cerr)
}

// Ask asks the holder of a name's claim. Without one the error is [ErrNone]; of one that does not answer it is [ErrSilent],
// and its PID is known; a *[StrangerError] is none of this user's.
func Ask(ctx context.Context, name string) (About, error) { return ask(ctx, Address(name)) }

// ask asks again where the holder has ended, or has handed on what it answers with, while the question waited, and where many
// others ask.
func ask(ctx context.Context, address string) (a About, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for {
		if a, err = askOnce(ctx, address); !errors.Is(err, errAgain) {
			return a, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return a, ErrSilent
		}
	}
}

var errAgain = errors.New("it has hung up, or too many ask")

func askOnce(ctx context.Context, address string) (About, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return About{}, ErrNone
	case err != nil && ctx.Err() != nil:
		return About{}, ErrSilent
	case errors.Is(err, syscall.EAGAIN): // its queue is full, as a stranger may keep its own
		if uid, ok := listenerOf(address); ok && uid != 0 && uid != os.Geteuid() {
			return About{}, &StrangerError{Address: address, UID: uid}
		}
		return About{}, errAgain
	case err != nil:
		return About{}, fmt.Errorf("cannot ask %s: %w", address, err)
	}
	defer conn.Close()
	cred, err := peer(conn.(*net.UnixConn))
	if err != nil {
		return About{}, fmt.Errorf("cannot tell who holds %s: %w", address, err)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return About{}, &StrangerError{address, int(cred.Uid), int(cred.Pid)}
	}
	if late, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(late)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	text, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	a := parse(string(text))
	if err != nil || a.Name == "" {
		a.PID = int(cred.Pid)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return a, ErrSilent
		}
		return a, errAgain
	}
	if a.PID == 0 {
		a.PID = int(cred.Pid)
	}
	return a, nil
}

// Find asks the holders of all claims of this process's user, mount namespace and world, by name. It takes as long as the
// slowest, some seconds at most. Without /proc it finds none: [Ask] does.
func Find(ctx context.Context) []Found {
	text, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	var all []Found
	for _, address := range listening(string(text), own()) {
		all = append(all, Found{Address: address})
	}
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i].About, all[i].Err = ask(ctx, all[i].Address) })
	}
	wg.Wait()
	return slices.DeleteFunc(all, func(f Found) bool { return errors.Is(f.Err, ErrNone) })
}

// listening are the abstract names in the table of /proc/net/unix that begin so and are listened at, by name.
func listening(table, begin string) (all []string) {
	const accepts = 1 << 16 // __SO_ACCEPTCON
	for line := range strings.Lines(table) {
		// 0000000000000000: 00000002 00000000 00010000 0001 01 12345 @tine/1/0/4026531832/-/web
		at := strings.Index(line, " "+begin)
		if at < 0 {
			continue
		}
		fields := strings.Fields(line[:at])
		if len(fields) != 7 {
			continue
		}
		flags, err := strconv.ParseUint(fields[3], 16, 64)
		name := strings.TrimSuffix(line[at+1:], "\n")
		if err == nil && flags&accepts != 0 && !strings.Contains(name[len(begin):], "/") && len(all) < maxFound {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
