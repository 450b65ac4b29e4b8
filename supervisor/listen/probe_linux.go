package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a connection within this machine.
const dialTimeout = 50 * time.Millisecond

func probe() []Capability {
	all := []Capability{probeEBPF()}
	cbpf, info := probeClassic()
	all = append(all, cbpf, probeHash(), probeKernel(), probeCapabilities(), probeNamespace(), info)
	return append(all, probeMigration(), probeBacklog(), probeMemfd(), probePidfd(), probeCgroup())
}

// trySteering opens a set of two slots of a kind on the loopback, lets the second have all connections, and makes one. ok
// tells that it came there; queue is how many connections the kernel then says that wait in the slots.
func trySteering(kind Kind) (ok bool, queue int, err error) {
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 2, Options{Best: kind, Policy: RoundRobin})
	if err != nil {
		return false, 0, err
	}
	defer s.Close()
	if err := s.SteerTo([]int{1}); err != nil {
		return false, 0, err
	}
	if st := s.Steering(); st.Kind != kind {
		return false, 0, errors.New(strings.TrimPrefix(strings.Join(s.notes, "; "), string(kind)+" is not used: "))
	}
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(context.Background(), "tcp", s.Addresses()[0].Addr)
	if err != nil {
		return false, 0, err
	}
	// Without a wait for packets that are late: nothing is left behind.
	_ = c.(*net.TCPConn).SetLinger(0)
	defer c.Close()
	// The client may know of its connection a little earlier than the queue.
	for deadline := time.Now().Add(dialTimeout); ; time.Sleep(100 * time.Microsecond) {
		queue, err = s.Queue(1)
		other, e := s.Queue(0)
		if queue+other > 0 || err != nil || e != nil || time.Now().After(deadline) {
			return err == nil && e == nil && queue == 1 && other == 0, queue + other, errors.Join(err, e)
		}
	}
}

func probeEBPF() Capability {
	c := Capability{Name: string(KindEBPF), Detail: "a program was loaded and picked the slot of a connection"}
	ok, _, err := trySteering(KindEBPF)
	switch {
	case ok:
		c.OK = true
		return c
	case err == nil:
		c.Detail = "a program was loaded, but did not pick the slot of a connection"
		c.Needs = "a kernel that runs SK_REUSEPORT programs"
		return c
	}
	c.Detail, c.Needs = err.Error(), "Linux 5.8 and CAP_BPF in the initial user namespace (before 5.8 CAP_SYS_ADMIN)"
	if effective(unix.CAP_BPF) && initialUserNamespace() {
		c.Needs = "a kernel with CONFIG_BPF_SYSCALL and Linux 5.8, and no filter or security module that forbids bpf"
	}
	return c
}

// probeClassic also tells whether queues can be read, which that steering rests on.
func probeClassic() (cbpf, info Capability) {
	cbpf = Capability{Name: string(KindCBPF), Detail: "a classic program was attached and picked the slot of a connection"}
	info = Capability{Name: "tcp_info", Detail: "the accept queue of a listening socket can be read"}
	ok, queue, err := trySteering(KindCBPF)
	cbpf.OK, info.OK = ok, ok || queue == 1
	if !cbpf.OK {
		cbpf.Detail, cbpf.Needs = "a classic program does not pick the slot of a connection", "Linux 4.6, and no filter that forbids SO_ATTACH_REUSEPORT_CBPF"
		if err != nil {
			cbpf.Detail = err.Error()
		}
	}
	if !info.OK {
		info.Detail, info.Needs = "the accept queue of a listening socket cannot be read", "Linux 4.6"
	}
	return cbpf, info
}

func probeHash() Capability {
	c := Capability{Name: string(KindHash), Detail: "sockets can share an address by SO_REUSEPORT"}
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 2, Options{Best: KindHash})
	if err != nil {
		c.Detail, c.Needs = err.Error(), "an IPv4 loopback address"
		return c
	}
	s.Close()
	c.OK = true
	return c
}

func probeKernel() Capability {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Capability{Name: "kernel", Detail: err.Error()}
	}
	release := unix.ByteSliceToString(name.Release[:])
	c := Capability{Name: "kernel", Detail: "Linux " + release + " on " + runtime.GOARCH, OK: kernelAtLeast(release, 5, 8)}
	if !c.OK {
		c.Needs = "Linux 5.8 for steering by ebpf, 5.14 to move what waits in the queue of a slot that is closed"
	}
	return c
}

// kernelAtLeast reads the first two numbers of a release like 6.18.3-generic.
func kernelAtLeast(release string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}

func probeCapabilities() Capability {
	c := Capability{Name: "cap_bpf", OK: effective(unix.CAP_BPF)}
	c.Detail = fmt.Sprintf("user %d has it", os.Geteuid())
	if !c.OK {
		c.Detail = fmt.Sprintf("user %d does not have it", os.Geteuid())
		c.Needs = "CAP_BPF: setcap cap_bpf+ep on the tine binary, AmbientCapabilities=CAP_BPF in a systemd unit, --cap-add BPF of a container, or root"
	}
	return c
}

// effective reports whether this process has a capability in its own user namespace.
func effective(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// initialUserNamespace compares with the inode number that the kernel gives the first one: PROC_USER_INIT_INO of
// linux/proc_ns.h.
func initialUserNamespace() bool {
	link, err := os.Readlink("/proc/self/ns/user")
	return err != nil || link == "user:[4026531837]"
}

func probeNamespace() Capability {
	c := Capability{Name: "user namespace", OK: initialUserNamespace(), Detail: "the initial one"}
	if !c.OK {
		c.Detail = "not the initial one: the kernel loads no eBPF program from here, not even for root"
		c.Needs = "to run outside of a user namespace (a container that is not rootless)"
	}
	return c
}

// sysctl reads a number; err tells why it cannot.
func sysctl(name string) (int, error) {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func probeMigration() Capability {
	const name = "net.ipv4.tcp_migrate_req"
	c := Capability{Name: "tcp_migrate_req"}
	n, err := sysctl(name)
	switch {
	case err != nil:
		c.Detail, c.Needs = "the kernel does not have it, or hides it", "Linux 5.14"
	case n == 0:
		c.Detail, c.Needs = "off: a backstop only, ebpf does without", "sysctl "+name+"=1"
	default:
		c.OK, c.Detail = true, "on: what waits in the queue of a socket that is closed moves to another"
	}
	return c
}

// goodBacklog is the default of Linux since 5.4.
const goodBacklog = 4096

func probeBacklog() Capability {
	const name = "net.core.somaxconn"
	n := backlog()
	c := Capability{Name: "somaxconn", OK: n >= goodBacklog, Detail: fmt.Sprintf("%d connections can wait in a slot", n)}
	if !c.OK {
		c.Needs = fmt.Sprintf("sysctl %s=%d", name, goodBacklog)
	}
	return c
}

func probeMemfd() Capability {
	fd, err := unix.MemfdCreate("tine probe", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return Capability{Name: "memfd", Detail: err.Error(), Needs: "Linux 3.17, and no filter that forbids memfd_create"}
	}
	unix.Close(fd)
	return Capability{Name: "memfd", OK: true, Detail: "memory can be shared without a file"}
}

func probePidfd() Capability {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return Capability{Name: "pidfd", Detail: err.Error(), Needs: "Linux 5.4, and no filter that forbids pidfd_open"}
	}
	unix.Close(fd)
	return Capability{Name: "pidfd", OK: true, Detail: "processes can be waited for by descriptor"}
}

func probeCgroup() Capability {
	c := Capability{Name: "cgroup memory", Needs: "cgroup v2 with the memory controller enabled for this process's group"}
	path, err := ownCgroup()
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	text, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Detail = "no cgroup v2 is mounted that this process is in"
	case err != nil:
		c.Detail = err.Error()
	case !strings.Contains(" "+strings.TrimSpace(string(text))+" ", " memory "):
		c.Detail = fmt.Sprintf("%s has the controllers %q", path, strings.TrimSpace(string(text)))
	default:
		return Capability{Name: c.Name, OK: true, Detail: path + " has the memory controller"}
	}
	return c
}

// ownCgroup is the folder of this process's group in the hierarchy of version 2: cgroups(7).
func ownCgroup() (string, error) {
	own := ""
	err := eachLine("/proc/self/cgroup", func(line string) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			own = path
		}
	})
	if err != nil {
		return "", err
	}
	mount := ""
	err = eachLine("/proc/self/mountinfo", func(line string) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && mount == "" && len(fields) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			mount = fields[4]
		}
	})
	if err != nil {
		return "", err
	}
	if mount == "" {
		return "", errors.New("no cgroup v2 is mounted")
	}
	return filepath.Join(mount, own), nil
}

func eachLine(path string, do func(string)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		do(s.Text())
	}
	return s.Err()
}
