//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
)

const (
	nobody = 65532  // the user in the container, as in scripts/packaging/Dockerfile
	shared = "/run" // what both sides see, for the config, the control socket and the counts
)

// container does the same with Tine as PID 1 of a container: read-only, as a user without any capability, under a real OCI
// runtime.
func (b *bench) container() error {
	const what = "the same in a container"
	runc := "runc"
	if _, err := exec.LookPath(runc); err != nil {
		runc = "/usr/sbin/runc"
	}
	if !b.has(runc, what) {
		return nil
	}
	if os.Getuid() != 0 {
		b.table.add(what, "", "SKIPPED: runc needs root here", info)
		return nil
	}
	dir, err := os.MkdirTemp(b.dir, "container-")
	if err != nil {
		return err
	}
	id, state := filepath.Base(dir), filepath.Join(dir, "state")
	defer func() { _ = exec.Command(runc, "--root", state, "delete", "--force", id).Run() }()
	s, err := b.launch(command{"tine in a container", func(addr string) (*exec.Cmd, error) {
		if err := b.bundle(dir, addr); err != nil {
			return nil, err
		}
		return exec.Command(runc, "--root", state, "run", "--bundle", dir, id), nil
	}})
	if err != nil {
		return err
	}
	k := &kept{peer: s}
	if err := k.begin(filepath.Join(dir, "shared")); err != nil {
		return err
	}
	if k.keeper, err = initOf(s.p.pid()); err != nil {
		k.end()
		return err
	}
	n := b.times(20, 3)
	err = b.survive(k, killed9+", in a container", n, crashed, 50*time.Millisecond)
	if err == nil {
		err = b.survive(k, upgradeOf+", in a container", n, upgraded, 300*time.Millisecond)
	}
	if err == nil {
		size := float64(procfs.RSS(k.keeper)) / (1 << 20)
		b.table.add("resident memory of PID 1", "< 6 MB", fmt.Sprintf("%.1f MB", size), verdictOf(size < 6))
	}
	k.end()
	if err != nil {
		return err
	}
	return b.countLines(k, "in a container", true)
}

// initOf is the PID here of the container's PID 1.
func initOf(runc int) (int, error) {
	for _, pid := range procfs.Below(runc) {
		if f := strings.Fields(procfs.Status(pid, "NSpid")); len(f) > 1 && f[len(f)-1] == "1" {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the container has no PID 1")
}

// bundle writes what an OCI runtime is told: see config.md of the runtime specification.
func (b *bench) bundle(dir, addr string) error {
	root, both := filepath.Join(dir, "root"), filepath.Join(dir, "shared")
	for _, name := range []string{root + "/proc", root + "/dev", root + "/sys/fs/cgroup", root + shared, root + "/bin", both} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the container's user passes through it
		return err
	}
	if err := os.Chown(both, nobody, nobody); err != nil {
		return err
	}
	for _, name := range []string{"tine", "demo"} {
		if err := copyFile(b.bin(name), filepath.Join(root, "bin", name)); err != nil {
			return err
		}
	}
	if _, err := keptConfig(both, shared, "/bin/demo", addr); err != nil {
		return err
	}
	type object = map[string]any
	var namespaces []object
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": nobody, "gid": nobody}, "cwd": "/",
			"args":         []string{"/bin/tine", "run", "-c", shared + "/tine.yaml", "--control", shared + "/c.sock"},
			"capabilities": object{}, "noNewPrivileges": true,
		},
		"root": object{"path": root, "readonly": true},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755", "size=64k"}},
			{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": []string{"nosuid", "noexec", "nodev", "ro"}},
			{"destination": shared, "type": "bind", "source": both, "options": []string{"bind", "rw", "nosuid", "nodev"}},
		},
		"linux": object{"namespaces": namespaces, "maskedPaths": []string{"/proc/kcore"}, "readonlyPaths": []string{"/proc/sys"}, "resources": object{}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
