package processes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// looker returns the function that takes a sample. Its error says what could not be seen; the sample has the rest.
func (s Source) looker() (func() (sample, error), error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("cannot look at processes: %w", err)
	}
	uid := int64(-1)
	if s.User != "" {
		if uid, err = uidOf(s.User); err != nil {
			return nil, err
		}
	}
	return func() (sample, error) { return s.look(proc, uid) }, nil
}

func uidOf(name string) (int64, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if n, bad := strconv.ParseUint(name, 10, 32); bad == nil {
			return int64(n), nil
		}
		return 0, fmt.Errorf("cannot look at the processes of user %s: %w", name, err)
	}
	return strconv.ParseInt(u.Uid, 10, 64)
}

func (s Source) look(proc procfs.FS, uid int64) (sample, error) {
	all, err := proc.AllProcs()
	if err != nil {
		return sample{}, fmt.Errorf("cannot look at processes: %w", err)
	}
	var seen sample
	var hidden error
	for _, p := range all {
		one, counts, err := s.process(p, uid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			hidden = fmt.Errorf("cannot read the open files of process %d (%s): run Tine as the user of that process or as root, or give it CAP_SYS_PTRACE", p.PID, s.Command)
		case err != nil: // it has ended meanwhile
		case counts:
			seen.processes = append(seen.processes, one)
		}
	}
	if len(seen.processes) == 0 && hidden == nil {
		if _, err := os.Stat("/proc/1"); err != nil {
			hidden = errors.New("cannot see processes of other users: /proc is mounted with hidepid; run Tine as root, or as a member of the group of that mount")
		}
		return seen, hidden
	}
	if seen.network, err = sockets(proc); err != nil {
		return sample{}, fmt.Errorf("cannot look at connections: %w", err)
	}
	return seen, hidden
}

// process looks at one process. counts is false if it is not one of the command and user, or of no app.
func (s Source) process(p procfs.Proc, uid int64) (one process, counts bool, err error) {
	stat, err := p.Stat()
	if err != nil || s.Command != "" && stat.Comm != s.Command || stat.State == "Z" {
		return one, false, err
	}
	if uid >= 0 {
		status, err := p.NewStatus()
		if err != nil || status.UIDs[1] != uint64(uid) { // the effective one
			return one, false, err
		}
	}
	files, err := p.FileDescriptorTargets()
	if err != nil {
		return one, false, err
	}
	folder, err := p.Cwd()
	if err != nil {
		return one, false, err
	}
	one = process{
		pid: p.PID, started: stat.Starttime, memory: int64(stat.ResidentMemory()),
		cpu: time.Duration(stat.UTime+stat.STime) * (time.Second / 100), // USER_HZ is 100 on all architectures that Go knows
	}
	for _, f := range append([]string{folder}, files...) {
		if found := s.AppFrom.FindStringSubmatch(f); !counts && len(found) > 1 {
			one.app, counts = found[1], found[1] != ""
		}
		if text, is := strings.CutPrefix(f, "socket:["); is {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64); err == nil {
				one.sockets = append(one.sockets, inode)
			}
		}
	}
	return one, counts, nil
}
