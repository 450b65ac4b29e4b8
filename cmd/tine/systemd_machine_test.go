//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/claim"
	"golang.org/x/sys/unix"
)

// A real systemd, as the first process of namespaces of its own: with a cgroup below that of the test, the host's /usr for
// its programs and nothing else of the host's files. It has the host's network.

// bootScript makes the root of a machine, of $1, and becomes its systemd. $2 is the terminal that it logs to.
const bootScript = `set -e
root=$1/root
mkdir -p $1/cgroup && mount -t cgroup2 cgroup2 $1/cgroup
mkdir $1/cgroup/$(basename $1) && echo 0 >$1/cgroup/$(basename $1)/cgroup.procs && umount $1/cgroup
mkdir $root && mount -t tmpfs -o mode=755 tmpfs $root && cd $root
mkdir -p usr proc sys dev run tmp var/tmp old etc/systemd/system .$1
chmod 1777 tmp var/tmp
ln -s /run var/run
cp -R $1/etc/. etc
cp /etc/ld.so.cache etc
for dir in bin sbin lib lib32 lib64; do
	if [ -L /$dir ]; then cp -P /$dir $dir; elif [ -d /$dir ]; then mkdir $dir && mount --bind /$dir $dir && mount -o remount,bind,ro $dir; fi
done
mount --bind /usr usr && mount -o remount,bind,ro usr && mount -t tmpfs -o mode=755 tmpfs usr/local/bin
for program in tine member; do touch usr/local/bin/$program && mount --bind $1/bin/$program usr/local/bin/$program; done
mount --bind $1 .$1
mount -t proc proc proc
mount -t tmpfs -o mode=755,size=64k tmpfs dev
for node in null zero full random urandom tty ptmx; do touch dev/$node && mount --bind /dev/$node dev/$node; done
touch dev/console && mount --bind $2 dev/console
exec unshare --cgroup sh -c 'set -e
	mount -t sysfs -o ro sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
	pivot_root . old && umount -l old && rmdir old && cd /
	exec env -i PATH=$PATH TERM=dumb container=tine SYSTEMD_UNIT_PATH=/etc/systemd/system \
		/lib/systemd/systemd --system --unit=boot.target --log-target=console --log-level=info --show-status=0'
`

// units are what a machine has at least: no more than what each service depends on by default.
var units = func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"boot", "sysinit", "basic", "sockets", "shutdown", "umount", "network-online", "multi-user"} {
		all[name+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	return all
}()

// machine is a running systemd. Its log has the lines of systemd and of the master.
type machine struct {
	*tine
	init    int    // systemd's PID outside
	service string // that the test is about
}

// startMachine boots a systemd with these files in /etc; $DIR is replaced in their text. Where it cannot be, the test is skipped.
func startMachine(t *testing.T, etc map[string]string) *machine {
	t.Helper()
	if why := noMachine(); why != "" {
		t.Skipf("SKIPPED: %s under a real systemd: %s", t.Name(), why)
	}
	s, err := boot(t, etc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noMachine returns why no systemd can run here; empty: it can.
var noMachine = sync.OnceValue(func() string {
	if os.Getuid() != 0 {
		return "not root"
	}
	for _, program := range []string{"/lib/systemd/systemd", "systemctl", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			return err.Error() + " (Debian: apt-get install systemd util-linux)"
		}
	}
	text, err := exec.Command("unshare", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--mount-proc", "sh", "-c",
		"mount -t tmpfs tmpfs /mnt && mount -t cgroup2 cgroup2 /mnt && mkdir /mnt/tine-test-$$ && rmdir /mnt/tine-test-$$").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no namespaces and cgroups of its own: %v: %s", err, bytes.TrimSpace(text))
	}
	return ""
})

func boot(t *testing.T, etc map[string]string) (*machine, error) {
	t.Helper()
	dir := folder(t)
	for name, text := range etc {
		writeUnder(t, filepath.Join(dir, "etc", name), strings.ReplaceAll(text, "$DIR", dir))
	}
	for name, text := range units {
		writeUnder(t, filepath.Join(dir, "etc/systemd/system", name), text)
	}
	writeUnder(t, dir+"/etc/machine-id", strings.Repeat("5", 32)+"\n") // else it is a first boot
	writeUnder(t, dir+"/etc/passwd", "root:x:0:0::/:/bin/sh\ntine:x:65532:65532::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n")
	writeUnder(t, dir+"/etc/group", "root:x:0:\ntine:x:65532:\nnogroup:x:65534:\n")
	for name, path := range map[string]string{"tine": tinePath, "member": memberPath} {
		writeUnder(t, filepath.Join(dir, "bin", name), "")
		if err := os.Remove(filepath.Join(dir, "bin", name)); err != nil {
			return nil, err
		}
		if err := os.Link(path, filepath.Join(dir, "bin", name)); err != nil {
			return nil, err
		}
	}
	terminal, held, err := openTerminal()
	if err != nil {
		return nil, err
	}
	m := startProgram(t, dir, "unshare", []string{"--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"sh", "-c", bootScript, "boot", dir, held.Name()}, func(c *exec.Cmd) { c.Env = append(os.Environ(), claim.EnvWorld+"=") })
	var wg sync.WaitGroup
	wg.Go(func() { m.read(terminal) })
	t.Cleanup(wg.Wait)
	t.Cleanup(func() {
		terminal.Close()
		held.Close()
		m.cmd.Process.Kill()
		<-m.exited
		removeCgroups(t, filepath.Base(dir))
	})
	s := &machine{tine: m, service: "tine.service"}
	eventually.True(t, "systemd answers", func() bool {
		if children := childrenOf(m.pid); len(children) == 1 {
			s.init = children[0]
		}
		select {
		case <-m.exited:
			t.Fatal("systemd has ended")
		default:
		}
		if s.init == 0 {
			return false
		}
		_, err := s.systemctl("is-active", "boot.target")
		return err == nil
	})
	// The control socket, where tests look for it.
	return s, os.Symlink(fmt.Sprintf("/proc/%d/root/run/tine", s.init), filepath.Join(dir, "control"))
}

func writeUnder(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// openTerminal makes one: systemd logs to nothing else. What is written to the console is read from the terminal, as long as
// the console is held open.
func openTerminal() (terminal, console *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open a terminal: %w", err)
	}
	terminal = os.NewFile(uintptr(fd), "terminal")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		console, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		terminal.Close()
		return nil, nil, fmt.Errorf("cannot open a terminal: %w", err)
	}
	return terminal, console, nil
}

// removeCgroups takes away what a machine has left of cgroups.
func removeCgroups(t *testing.T, name string) {
	t.Helper()
	const script = `mount -t cgroup2 cgroup2 /mnt && [ ! -d /mnt/"$0" ] || find /mnt/"$0" -depth -type d -exec rmdir {} +`
	eventually.True(t, "the cgroups of "+name+" are gone", func() bool { // some ms after their last process
		return exec.Command("unshare", "--mount", "sh", "-c", script, name).Run() == nil
	})
}

// run runs a program of the host's in the machine, as root.
func (s *machine) run(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(s.init), "-m", "-p", "-i", "-u", "--"}, args...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", claim.EnvWorld+"=")
	text, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(text))
	}
	return strings.TrimSpace(string(text)), err
}

func (s *machine) systemctl(args ...string) (string, error) {
	return s.run(append([]string{"systemctl"}, args...)...)
}

func (s *machine) mustSystemctl(args ...string) string {
	s.t.Helper()
	text, err := s.systemctl(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// show is a property of the service.
func (s *machine) show(property string) string {
	s.t.Helper()
	return s.mustSystemctl("show", s.service, "--value", "--property="+property)
}

// expect waits until a property has the value.
func (s *machine) expect(property, want string) {
	s.t.Helper()
	eventually.NoError(s.t, property+" is "+want, func() error {
		if got := s.show(property); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// master is the main process, as it is called outside.
func (s *machine) master() int {
	s.t.Helper()
	pid, err := strconv.Atoi(s.show("MainPID"))
	if err != nil || pid == 0 {
		s.t.Fatalf("MainPID=%d %v", pid, err)
	}
	return hostPID(s.t, s.tine, pid)
}

func (s *machine) kill(pid int, sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatalf("cannot send %s to %d: %v", sig, pid, err)
	}
}
