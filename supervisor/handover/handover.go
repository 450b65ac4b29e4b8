//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloudflare/tableflip"
)

const (
	// DefaultTimeout is for all of an upgrade.
	DefaultTimeout = 30 * time.Second
	// adoptTimeout is for the new master from go to ready.
	adoptTimeout = 10 * time.Second

	// lastWords bounds the wait for what is there already, or is not at all.
	lastWords = 50 * time.Millisecond

	// closing bounds the wait for the end of an upgrade that was called off.
	closing = time.Second

	socketName = "handover"
)

// ErrUnderWay answers an upgrade while another is under way.
var ErrUnderWay = errors.New("an upgrade is under way already")

// Upgrader is there once in a process, from its start on. Upgrade may be called from any goroutine.
type Upgrader struct {
	flip *tableflip.Upgrader
	near *socket    // to the new master
	far  *socket    // what it gets, kept to be emptied after it failed
	up   *socket    // to the old master; nil: there is none
	mu   sync.Mutex // held over an upgrade

	prime sync.Once
	ready chan struct{} // closed by Ready
}

// HasParent reports what the method of the Upgrader does. It is right until New is called.
func HasParent() bool { return os.Getenv(envParent) != "" }

// New must be called once, before other goroutines change os.Args or the environment. timeout is for a whole upgrade that
// this process makes; 0: DefaultTimeout.
func New(timeout time.Duration) (*Upgrader, error) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	flip, err := tableflip.New(tableflip.Options{UpgradeTimeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("cannot prepare for upgrades: %w", err)
	}
	if flip.HasParent() {
		hideParent()
	}
	u := &Upgrader{flip: flip, ready: make(chan struct{})}
	if err := u.open(); err != nil {
		flip.Stop()
		return nil, fmt.Errorf("cannot prepare for upgrades: %w", err)
	}
	return u, nil
}

func (u *Upgrader) open() (err error) {
	if u.flip.HasParent() {
		f, err := u.flip.File(socketName)
		if err == nil && f == nil {
			err = errors.New("it has given no socket")
		}
		if err == nil {
			u.up, err = newSocket(f)
		}
		if err != nil {
			return fmt.Errorf("old master: %w", err)
		}
	}
	var far *os.File
	if u.near, u.far, far, err = newPair(); err != nil {
		return err
	}
	defer far.Close()
	return u.flip.AddFile(socketName, far) // in place of the one that came from the old master
}

// HasParent says that this process is to follow another: Receive comes next, and then Ready.
func (u *Upgrader) HasParent() bool { return u.up != nil }

// Receive says that this process is prepared, and waits for the files that the old master gives. They are the caller's. An
// error means that it must end.
func (u *Upgrader) Receive(ctx context.Context) (map[string][]*os.File, error) {
	defer u.up.within(ctx)()
	files, err := u.receive()
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("cannot take over from the old master: %w", err)
	}
	return files, nil
}

func (u *Upgrader) receive() (map[string][]*os.File, error) {
	files := map[string][]*os.File{}
	if err := u.up.send(packet{kind: prepared, text: fmt.Sprint(os.Getpid())}); err != nil {
		return files, err
	}
	for {
		p, err := u.up.receive()
		if err != nil {
			return files, err
		}
		switch p.kind {
		case file:
			files[p.text] = append(files[p.text], p.files...)
		case proceed:
			return files, nil
		case abort:
			return files, errors.New("it has changed its mind")
		default:
			return files, fmt.Errorf("it has sent %q", p.kind)
		}
	}
}

// Refuse tells the old master why this process is about to end before it is ready, for the error of its Upgrade. Without
// an old master it does nothing.
func (u *Upgrader) Refuse(reason string) {
	if u.up != nil {
		_ = u.up.send(packet{kind: refused, text: reason[:min(len(reason), maxText)]}) // else the error says how it has ended
	}
}

// Ready tells the old master that this process is in charge, so that it ends. One that has ended need not be told. In a
// process without one it makes upgrades possible. It must be called in both.
func (u *Upgrader) Ready() error {
	if err := u.flip.Ready(); err != nil && !u.alone() {
		return fmt.Errorf("cannot tell the old master to end: %w", err)
	}
	if u.up != nil {
		u.up.close()
	}
	u.prime.Do(func() { close(u.ready) })
	return nil
}

// Upgrade starts binary, an absolute path, with the arguments and the environment of this process, and returns nil when it is
// in charge: this process is to end then, and to leave everything as it is. When it is prepared, give is called: from then on
// this process must leave alone what it gives, until Upgrade returns an error. Files stay the caller's.
func (u *Upgrader) Upgrade(ctx context.Context, binary string, give func() (map[string][]*os.File, error)) (err error) {
	if !u.mu.TryLock() {
		return ErrUnderWay
	}
	defer u.mu.Unlock()
	if err := u.inCharge(ctx); err != nil {
		return fmt.Errorf("cannot upgrade to %s: %w", binary, err)
	}
	u.near.drain()
	u.far.drain()
	failed := startsNext(binary)
	defer func() {
		if err != nil {
			failed()
			err = fmt.Errorf("cannot upgrade to %s: %w", binary, err)
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- u.upgrade() }()
	said, done := u.listen()
	defer done()
	var child *os.Process
	select {
	case err := <-ended:
		return u.reason(said, err)
	case <-ctx.Done():
		u.call(abort)
		<-ended
		return context.Cause(ctx)
	case p := <-said:
		if p.kind == refused {
			<-ended
			return errors.New(p.text)
		}
		if child, err = p.process(); err != nil {
			u.call(abort)
			<-ended
			return err
		}
	}
	defer child.Release()
	files, err := give()
	if err == nil {
		err = u.give(files)
	}
	if err != nil {
		u.call(abort)
		_ = child.Kill()
		<-ended
		return err
	}
	late := time.AfterFunc(adoptTimeout, func() { _ = child.Kill() })
	defer late.Stop()
	if err := <-ended; err != nil {
		said, done := u.listen()
		defer done()
		return u.reason(said, err)
	}
	return nil
}

// reason is what the new master has said before it ended, which tells more than how it ended: err.
func (u *Upgrader) reason(said <-chan packet, err error) error {
	if err == nil {
		return nil
	}
	late := time.NewTimer(lastWords)
	defer late.Stop()
	select {
	case p := <-said:
		if p.kind == refused {
			return errors.New(p.text)
		}
	case <-late.C:
	}
	return err
}

// alone reports whether the old master has ended.
func (u *Upgrader) alone() bool {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	return u.flip.WaitForParent(ctx) == nil
}

// inCharge waits for this process to be ready, and for the end of the master before it, which may take a moment longer than
// its words.
func (u *Upgrader) inCharge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	select {
	case <-u.ready:
	case <-ctx.Done():
		return fmt.Errorf("this master is not ready: %w", ctx.Err())
	}
	if err := u.flip.WaitForParent(ctx); err != nil {
		return fmt.Errorf("the master before this one has not ended: %w", err)
	}
	return nil
}

// upgrade starts the next process and waits until it is ready. It begins again while tableflip has not noticed yet that the
// master before this one has ended: see parentLives.
func (u *Upgrader) upgrade() error {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(adoptTimeout); ; <-pace.C {
		err := u.flip.Upgrade()
		if !parentLives(err) || time.Now().After(deadline) {
			return err
		}
	}
}

// listen reads the new master's one packet, until done is called.
func (u *Upgrader) listen() (said <-chan packet, done func()) {
	ch, ended := make(chan packet, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if p, err := u.near.receive(); err == nil {
			ch <- p
		}
	}()
	return ch, func() {
		_ = u.near.conn.SetReadDeadline(time.Unix(1, 0))
		<-ended
		_ = u.near.conn.SetReadDeadline(time.Time{})
	}
}

func (u *Upgrader) give(files map[string][]*os.File) error {
	_ = u.near.conn.SetWriteDeadline(time.Now().Add(adoptTimeout))
	defer u.near.conn.SetWriteDeadline(time.Time{})
	for name, fs := range files {
		if err := u.near.send(packet{kind: file, text: name, files: fs}); err != nil {
			return err
		}
	}
	return u.near.send(packet{kind: proceed})
}

func (u *Upgrader) call(k kind) { _ = u.near.send(packet{kind: k}) }

// Close makes further upgrades impossible. It kills what one that is under way has started, and returns when that was told
// of it.
func (u *Upgrader) Close() {
	u.flip.Stop()
	told := make(chan struct{})
	go func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(closing):
	}
	u.near.close()
	u.far.close()
	if u.up != nil {
		u.up.close()
	}
}

func closeAll(files map[string][]*os.File) {
	for _, fs := range files {
		for _, f := range fs {
			f.Close()
		}
	}
}
