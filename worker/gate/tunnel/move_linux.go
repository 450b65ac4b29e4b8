package tunnel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds each message between two workers.
const patience = 2 * time.Second

// door is where tunnels of other workers come in.
type door struct {
	name, known string // the names of its socket: its own, and the one that all workers of the slot use
	ln          *net.UnixListener
	file        os.FileInfo
	wg          sync.WaitGroup

	mu     sync.Mutex
	roads  map[*net.UnixConn]struct{}
	closed bool
}

// folder is that of the sockets of this user.
func folder() (string, error) {
	dir := filepath.Join(os.TempDir(), "tine-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a folder that this user alone can enter", dir)
	}
	return dir, nil
}

// Listen lets tunnels come in from the worker that had the same listening socket before. It is called once, before this worker is ready.
func (s *Set) Listen(slot net.Listener) error {
	d, err := newDoor(slot)
	if err != nil {
		return fmt.Errorf("cannot take over tunnels: %w", err)
	}
	s.mu.Lock()
	s.door = d
	s.mu.Unlock()
	d.wg.Go(func() { d.accept(s) })
	return nil
}

func newDoor(slot net.Listener) (*door, error) {
	c, ok := slot.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	failed := error(nil)
	if err := raw.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &st) }); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	tidy(dir)
	d := &door{known: filepath.Join(dir, fmt.Sprintf("tunnels.%d", st.Ino)), roads: map[*net.UnixConn]struct{}{}}
	d.name = fmt.Sprintf("%s.%d.%d", d.known, os.Getpid(), time.Now().UnixNano())
	if d.ln, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: d.name, Net: "unixpacket"}); err != nil {
		return nil, err
	}
	d.ln.SetUnlinkOnClose(false) // the name is another one by then
	if err = os.Chmod(d.name, 0o600); err == nil {
		if d.file, err = os.Lstat(d.name); err == nil {
			err = os.Rename(d.name, d.known)
		}
	}
	if err != nil {
		d.ln.Close()
		os.Remove(d.name)
		return nil, err
	}
	return d, nil
}

// mostTidied bounds the sockets that one start of a worker looks at.
const mostTidied = 64

// tidy removes sockets at which nobody listens any more.
func tidy(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for i, e := range list {
		if i == mostTidied {
			return
		}
		name := filepath.Join(dir, e.Name())
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
		if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(name)
		} else if err == nil {
			c.Close()
		}
	}
}

// accept serves the old workers, which come one after the other.
func (d *door) accept(s *Set) {
	for {
		c, err := d.ln.AcceptUnix()
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			c.Close()
			return
		}
		d.roads[c] = struct{}{}
		d.mu.Unlock()
		d.wg.Go(func() {
			defer func() {
				d.mu.Lock()
				delete(d.roads, c)
				d.mu.Unlock()
				c.Close()
			}()
			if err := sameUser(c); err != nil {
				s.options.Log.Warn("tunnels are refused", "error", err)
				return
			}
			for {
				t, err := receive(c)
				if err != nil {
					if !errors.Is(err, errEnd) {
						s.options.Log.Warn("a tunnel was not taken over", "error", err)
					}
					return
				}
				s.adopt(t)
			}
		})
	}
}

// Close lets no tunnel in any more. Those that are there go on.
func (s *Set) Close() {
	s.mu.Lock()
	d := s.door
	s.door = nil
	s.mu.Unlock()
	if d == nil {
		return
	}
	if now, err := os.Lstat(d.known); err == nil && os.SameFile(now, d.file) {
		os.Remove(d.known)
	}
	d.ln.Close()
	d.mu.Lock()
	d.closed = true
	for c := range d.roads {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// sameUser says what is wrong with the process at the other end.
func sameUser(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	failed := error(nil)
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("process %d is of user %d, and not of %d", cred.Pid, cred.Uid, os.Geteuid())
	}
	return nil
}

// errEnd: the old worker has no more tunnels.
var errEnd = errors.New("there are no more tunnels")

// receive takes one tunnel. It is this worker's when there is no error.
func receive(c *net.UnixConn) (*tunnel, error) {
	_ = c.SetDeadline(time.Time{}) // the old worker drains for as long as it wants to; its end is that of the connection
	b, control := make([]byte, mostMessage+1), make([]byte, unix.CmsgSpace(2*4))
	n, nc, flags, _, err := c.ReadMsgUnix(b, control)
	fds := descriptors(control[:nc])
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "tunnel")
		defer files[i].Close() // a connection that is made of it has a copy
	}
	if err != nil || n == 0 {
		return nil, errEnd
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(files) != 2 {
		return nil, fmt.Errorf("%w: it came with %d descriptors, or not whole", errMessage, len(files))
	}
	o, err := decodeOffer(b[:n])
	if err != nil {
		return nil, err
	}
	client, err := net.FileConn(files[0])
	if err != nil {
		return nil, err
	}
	member, err := net.FileConn(files[1])
	if err != nil {
		client.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	short := make([]byte, 2)
	if _, err = c.Write([]byte{have}); err == nil {
		n, err = c.Read(short)
	}
	if err != nil || n != 1 || short[0] != goOn {
		client.Close() // no end is passed on: the old worker has them too
		member.Close()
		return nil, fmt.Errorf("the old worker has kept it: %w", errors.Join(err, errEnd))
	}
	t := newTunnel(o.Info, client, member, o.hand)
	t.halves[0].over, t.halves[1].over = o.Over[0], o.Over[1]
	return t, nil
}

func descriptors(control []byte) (all []int) {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range list {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

// road is the connection to the successor. A nil road leads nowhere.
type road struct{ c *net.UnixConn }

func (r *road) close() {
	if r != nil {
		r.c.Close()
	}
}

var errAlone = errors.New("no other worker has taken over the slot")

// toSuccessor connects to the worker that has come after this one.
func (s *Set) toSuccessor() (*road, error) {
	s.mu.Lock()
	d := s.door
	s.mu.Unlock()
	if d == nil {
		return nil, errAlone
	}
	now, err := os.Lstat(d.known)
	if err != nil || os.SameFile(now, d.file) {
		return nil, errAlone
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: d.known, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	if err := sameUser(c); err != nil {
		c.Close()
		return nil, err
	}
	return &road{c}, nil
}

// move gives a tunnel away. After an error it goes on here. An error that is not errStays ends the road.
func (r *road) move(t *tunnel) error {
	client, err := rawOf(t.halves[0].from)
	if err != nil {
		return fmt.Errorf("%w: it is under TLS", errStays)
	}
	member, err := rawOf(t.halves[1].from)
	if err != nil {
		return fmt.Errorf("%w: it is under TLS", errStays)
	}
	if !t.rest() {
		return nil // it has ended
	}
	if t.isOver() {
		t.moved <- false
		return nil
	}
	o := offer{Info: t.info, Over: [2]bool{t.halves[0].over, t.halves[1].over}, hand: [2][]byte{t.halves[0].hand, t.halves[1].hand}}
	b, err := o.encode()
	if err == nil {
		err = r.give(b, client, member)
	}
	t.moved <- err == nil
	return err
}

func (r *road) give(b []byte, client, member syscall.RawConn) error {
	if err := r.c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var sent, inner error
	err := client.Control(func(one uintptr) {
		inner = member.Control(func(two uintptr) {
			_, _, sent = r.c.WriteMsgUnix(b, unix.UnixRights(int(one), int(two)), nil)
		})
	})
	if err = errors.Join(err, inner, sent); err != nil {
		return err
	}
	short := make([]byte, 2)
	if n, err := r.c.Read(short); err != nil || n != 1 || short[0] != have {
		return fmt.Errorf("the next worker has not taken it: %w", err)
	}
	_, err = r.c.Write([]byte{goOn})
	return err
}
