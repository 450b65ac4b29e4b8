package claim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const claimSuffix = ".claim"

// takeFile is Take with a locked file in dir.
func takeFile(ctx context.Context, dir, name string) (*Claim, error) {
	if err := ownFolder(dir); err != nil {
		return nil, fmt.Errorf("cannot take the name %s: %w", name, err)
	}
	path := filepath.Join(dir, FileName(name)+claimSuffix)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot take the name %s: %w", name, err)
	}
	for n := 1; ; n++ {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || n == attempts || ctx.Err() != nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // a client locks it for a moment
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		defer f.Close()
		a, err := readFile(ctx, f)
		if err != nil {
			return nil, &TakenError{About: a, Err: err, name: name}
		}
		return nil, &TakenError{About: a, name: name}
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	// The file stays when the lock ends: removing it would let two have a lock of one name each.
	_ = f.Truncate(0)
	return &Claim{file: f, address: path}, nil
}

// write puts the answer into the locked file. A reader sees the old one, the new one, or one that is cut and read again.
func (c *Claim) write(a About) error {
	text := a.text() + "end=1\n"
	n, err := c.file.WriteAt([]byte(text), 0)
	if err == nil {
		err = c.file.Truncate(int64(n))
	}
	if err != nil {
		return fmt.Errorf("cannot answer at %s: %w", c.address, err)
	}
	return nil
}

// readFile waits a moment for a holder that has only just taken the file.
func readFile(ctx context.Context, f *os.File) (About, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for {
		text, err := io.ReadAll(io.NewSectionReader(f, 0, maxAnswer))
		if err != nil {
			return About{}, fmt.Errorf("cannot read %s: %w", f.Name(), err)
		}
		if strings.HasSuffix(string(text), "\nend=1\n") {
			return parse(string(text)), nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return About{}, ErrSilent
		}
	}
}

// askFile is Ask for a locked file.
func askFile(ctx context.Context, path string) (About, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return About{}, ErrNone
	}
	if err != nil {
		return About{}, fmt.Errorf("cannot ask %s: %w", path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return About{}, ErrNone
	} else if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return About{}, &StrangerError{Address: path, UID: int(st.Uid)}
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return About{}, ErrNone // which unlocks it again
	}
	return readFile(ctx, f)
}

// findFiles is Find in a folder.
func findFiles(ctx context.Context, dir string) (all []Found) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+claimSuffix)) // by name
	for _, path := range paths[:min(len(paths), maxFound)] {
		a, err := askFile(ctx, path)
		if !errors.Is(err, ErrNone) {
			all = append(all, Found{About: a, Address: path, Err: err})
		}
	}
	return all
}

// ownFolder makes dir, 0700, or checks that it is a folder that only this user can change.
func ownFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || ok && int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a folder that user %d alone can change", dir, os.Geteuid())
	}
	return nil
}
