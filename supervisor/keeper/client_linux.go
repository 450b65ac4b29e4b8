package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	fd, err := unix.MemfdCreate("exits", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a memfd for exits: %w", err)
	}
	file := os.NewFile(uintptr(fd), "exits")
	defer file.Close()
	if err := c.send(exitsField+"=1", []*os.File{file}); err != nil {
		return nil, err
	}
	if err := c.Barrier(ctx); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, 0); err != nil { // the keeper's writes have moved the position, which is shared
		return nil, fmt.Errorf("cannot read the exits: %w", err)
	}
	return readExits(file)
}

// AwaitEnd waits until the keeper has ended: from then on nobody brings this process back. It returns the error of ctx if
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
