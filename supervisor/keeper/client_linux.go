package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Exits are how the processes ended that the keeper has reaped because their parent had died, the oldest first: workers
// that ended while no master lived, and others. There are none from systemd, which does not know the question. A worker's
// pidfd gives its status from Linux 6.15 on, and without asking.
func (c *Client) Exits(ctx context.Context) ([]Exit, error) {
	if c == nil {
		return nil, nil
	}
	answer, err := c.ask(ctx, exitsField+"=1")
	if err != nil {
		return nil, err
	}
	return readExits(answer)
}

// Room says how much is stored, and of which names files were refused, since there is no room for them or they were lost on
// the way. With systemd it is what this process knows itself. Without either, and with a keeper that does not know the question, it is
// zero.
func (c *Client) Room(ctx context.Context) (Room, error) {
	if c == nil {
		return Room{}, nil
	}
	if c.ledger != nil {
		return c.ledger.room(), nil
	}
	answer, err := c.ask(ctx, roomField+"=1")
	if err != nil {
		return Room{}, err
	}
	return readRoom(answer)
}

// Lead makes this process the master that counts, in an upgrade, before it says READY=1 and before the old master ends. An
// error says that it must not become that: the keeper has refused it, because the old master has crashed meanwhile and
// another was started in its place, or did not answer; or a file cannot be written.
//
// From then on a keeper brings back the program of this process, by the path that it was started from: what is there at
// that time. If it cannot be executed then, or if the path cannot stand in a notification (more than 3840 bytes, a line feed),
// it is the program that the keeper was started with.
//
// systemd is told by the file that MAINPIDFILE names, the PIDFile= of the unit, which it reads when the old master has
// ended. Told by a notification it would look at once, and see a process that is not its child but the old master's. For the
// end of such a one it does not wait: a stop of the service would be SIGTERM and at once SIGKILL. Where the variable is not
// set there is nothing else; then systemd has read the notification when Lead returns, so that the old master's end is not
// taken for that of the service. It is waited for at most 5 seconds, and not until ctx is done: once told it knows no way
// back, so that a missing answer is not an error.
func (c *Client) Lead(ctx context.Context) error {
	if c == nil {
		return nil
	}
	pid := strconv.Itoa(os.Getpid())
	announce := "MAINPID=" + pid
	if PID() == 0 {
		if path := os.Getenv(EnvPIDFile); path != "" {
			return writePIDFile(path)
		}
		return c.leadSystemd(ctx, announce)
	}
	if path, err := os.Executable(); err == nil && checkCommand(path) == nil {
		announce += "\n" + commandField + "=" + path
	}
	answer, err := c.ask(ctx, announce+"\n"+chiefField+"=1")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(answer, 32))
	if err != nil {
		return fmt.Errorf("cannot read who is the master: %w", err)
	}
	if string(text) != pid {
		return fmt.Errorf("cannot become the master: the keeper, process %d, has refused it", PID())
	}
	return nil
}

func (c *Client) leadSystemd(ctx context.Context, announce string) error {
	if err := c.Notify(announce); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leadTimeout)
	defer cancel()
	_ = c.Barrier(ctx)
	return nil
}

// writePIDFile never shows half a file.
func writePIDFile(path string) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot tell systemd who is the master: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("cannot tell systemd who is the master: %w", err)
	}
	return nil
}

// leadTimeout bounds the wait for systemd. It is less than what the old master grants the new one from go to ready.
const leadTimeout = 5 * time.Second

// ask sends a question and returns the answer, which is empty from systemd and from a keeper that refuses to answer.
func (c *Client) ask(ctx context.Context, question string) (io.Reader, error) {
	fd, err := unix.MemfdCreate("answer", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a memfd for an answer: %w", err)
	}
	file := os.NewFile(uintptr(fd), "answer")
	defer file.Close()
	if err := c.send(question, []*os.File{file}); err != nil {
		return nil, err
	}
	if err := c.Barrier(ctx); err != nil {
		return nil, err
	}
	// Not from the position, which the keeper's writes have moved.
	text, err := io.ReadAll(io.NewSectionReader(file, 0, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("cannot read an answer: %w", err)
	}
	return bytes.NewReader(text), nil
}

// maxAnswer is more than the longest answer, of all exits.
const maxAnswer = 1 << 20

// AwaitEnd waits until the keeper has ended: from then on nothing restarts this process. It returns the error of ctx if
// that is done before, and ErrNoKeeper where there is no keeper, as under systemd.
func AwaitEnd(ctx context.Context) error {
	pid := PID()
	if pid == 0 {
		return ErrNoKeeper
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot watch the keeper, process %d: %w", pid, err)
	}
	file := os.NewFile(uintptr(fd), "keeper")
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("cannot watch the keeper, process %d: %w", pid, err)
	}
	err = raw.Read(func(fd uintptr) bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot watch the keeper, process %d: %w", pid, err)
	}
	return nil
}

func isOpen(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err
}
