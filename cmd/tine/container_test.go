//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// Tine as a container's entrypoint, under a real OCI runtime: PID 1 of a bundle with nothing
// in it but the static binaries, read-only, as a user without any capability. Where there is
// no runc, or it may not do its work, the same is made with unshare.

// nobody is the user in the container, as in scripts/packaging/Dockerfile.
const nobody = 65532

// image is the root of all containers of a test run.
var image = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(tinePath), "image")
	for _, name := range []string{"proc", "dev", "sys/fs/cgroup"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	for _, program := range []string{"../demo", ".", "./testdata/orphans"} { // with the flags of make build: mostly cached
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/bin/", program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if text, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot build %s: %w: %s", program, err, text)
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "orphans.yaml"), []byte(orphansConfig), 0o644)
})

// orphansConfig is that of TestContainerReapsOrphans: there is no shell in the image.
const orphansConfig = `
apps:
  demo:
    command: /bin/demo
    listen: 127.0.0.1:0
    workers: 1
    hooks: {after_ready: [/bin/orphans, 1000]}
`

// container is one that runs.
type container struct {
	*tine
	signal func(syscall.Signal)
}

// limits of a container; zero: none.
type limits struct {
	cpus   float64
	memory int64
}

// startContainer runs a command in a container that has the host's network.
func startContainer(t *testing.T, env []string, limit limits, args ...string) *container {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: container: -short")
	}
	root, err := image()
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	env = append([]string{"MEMBER_CONTROL=" + dir}, env...)
	switch runc, why := findRunc(); {
	case runc != "":
		return runWithRunc(t, runc, root, dir, env, limit, args)
	case limit != limits{}:
		t.Skipf("SKIPPED: %s under runc: %s", t.Name(), why)
	default:
		t.Logf("no runc (%s): with unshare", why)
	}
	return runWithUnshare(t, root, dir, env, args)
}

// findRunc finds a runc that can run a container on this machine, or returns why there is none.
var findRunc = sync.OnceValues(func() (path, why string) {
	if os.Getuid() != 0 {
		return "", "not root"
	}
	for _, name := range []string{"runc", "/usr/sbin/runc"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return "", "no runc (Debian: apt-get install runc, or scripts/runc as root)"
	}
	root, err := image()
	if err != nil {
		return "", err.Error()
	}
	dir, err := os.MkdirTemp("", "t-")
	if err != nil {
		return "", err.Error()
	}
	defer os.RemoveAll(dir)
	id := filepath.Base(dir)
	if err := writeBundle(dir, root, nil, limits{}, []string{"/bin/tine", "--version"}); err != nil {
		return "", err.Error()
	}
	text, err := exec.Command(path, "--root", dir+"/state", "run", "--bundle", dir, id).CombinedOutput()
	if err != nil {
		_ = exec.Command(path, "--root", dir+"/state", "delete", "--force", id).Run()
		return "", fmt.Sprintf("%v: %s", err, bytes.TrimSpace(text))
	}
	return path, ""
})

func runWithRunc(t *testing.T, runc, root, dir string, env []string, limit limits, args []string) *container {
	t.Helper()
	if err := writeBundle(dir, root, env, limit, args); err != nil {
		t.Fatal(err)
	}
	id, state := filepath.Base(dir), dir+"/state"
	t.Cleanup(func() { _ = exec.Command(runc, "--root", state, "delete", "--force", id).Run() })
	m := startProgram(t, dir, runc, []string{"--root", state, "run", "--bundle", dir, id})
	return &container{m, func(sig syscall.Signal) {
		t.Helper()
		if text, err := exec.Command(runc, "--root", state, "kill", id, strconv.Itoa(int(sig))).CombinedOutput(); err != nil {
			t.Fatalf("cannot kill: %v: %s", err, text)
		}
	}}
}

// writeBundle writes what an OCI runtime is told: see config.md of the runtime specification.
func writeBundle(dir, root string, env []string, limit limits, args []string) error {
	type object = map[string]any
	var namespaces []object
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	linux := object{"namespaces": namespaces, "maskedPaths": []string{"/proc/kcore"}, "readonlyPaths": []string{"/proc/sys"}}
	resources := object{}
	if limit.cpus > 0 {
		resources["cpu"] = object{"quota": int64(limit.cpus * 100_000), "period": 100_000}
	}
	if limit.memory > 0 {
		resources["memory"] = object{"limit": limit.memory}
	}
	linux["resources"] = resources
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": nobody, "gid": nobody}, "cwd": "/", "args": args, "env": env,
			"capabilities": object{}, "noNewPrivileges": true,
		},
		"root": object{"path": root, "readonly": true},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755", "size=64k"}},
			{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		"linux": linux,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}

// runWithUnshare makes of the same root what comes nearest to a container.
func runWithUnshare(t *testing.T, root, dir string, env, args []string) *container {
	t.Helper()
	const script = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" &&
		exec chroot --userspec=65532:65532 --groups= "$0" "$@"`
	all := append([]string{"--pid", "--mount", "--fork", "--kill-child", "sh", "-c", script, root}, args...)
	if text, err := exec.Command("unshare", append(slices.Clone(all[:7]), root, "/bin/tine", "--version")...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %s: namespaces: %v: %s", t.Name(), err, bytes.TrimSpace(text))
	}
	m := startProgram(t, dir, "unshare", all, func(c *exec.Cmd) { c.Env = append(env, "PATH="+os.Getenv("PATH")) })
	return &container{m, func(sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(hostPID(t, m, 1), sig); err != nil {
			t.Fatal(err)
		}
	}}
}

// hostPID is what a process of the container is called outside.
func hostPID(t *testing.T, m *tine, inside int) int {
	t.Helper()
	for _, pid := range m.processes() {
		words := strings.Fields(statusOf(pid, "NSpid"))
		if len(words) > 1 && words[len(words)-1] == strconv.Itoa(inside) {
			return pid
		}
	}
	t.Fatalf("no process %d in the container", inside)
	return 0
}

// statusOf is a line of /proc/PID/status; empty: it has gone.
func statusOf(pid int, key string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// told is a field of the first line of the log with this message.
func (c *container) told(message, key string) string {
	c.t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(c.await(is(message)).Raw), &line); err != nil {
		c.t.Fatal(err)
	}
	if list, ok := line[key].([]any); ok && len(list) > 0 {
		return fmt.Sprint(list[0])
	}
	return fmt.Sprint(line[key])
}

func (c *container) ended() {
	c.t.Helper()
	eventually.Receive(c.t, "the container ends", c.exited)
}

func get(url string) (status int, body string) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// TestContainerOfTheDockerfile runs what scripts/packaging/Dockerfile says, but for the ports.
func TestContainerOfTheDockerfile(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../scripts/packaging/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(b), "\nFROM scratch\n")
	if !found {
		t.Fatal("its last stage is not FROM scratch")
	}
	var env, args []string
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ENV":
			for kv := range strings.FieldsSeq(rest) {
				if key, value, _ := strings.Cut(kv, "="); strings.HasPrefix(value, ":") {
					kv = key + "=127.0.0.1:0"
				}
				env = append(env, kv)
			}
		case "ENTRYPOINT", "CMD":
			var words []string
			if err := json.Unmarshal([]byte(rest), &words); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			args = append(args, words...)
		case "USER":
			if rest != fmt.Sprintf("%d:%d", nobody, nobody) {
				t.Errorf("%s", line)
			}
		}
	}
	c := startContainer(t, append(env, "PATH=/bin"), limits{}, args...)
	c.await(is("all workers are ready"))
	if status, body := get("http://" + c.told("starting", "listen") + "/"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get("http://" + c.told("health", "address") + "/readyz"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	c.signal(syscall.SIGTERM)
	c.ended()
	if c.code != 0 {
		t.Errorf("exit code %d", c.code)
	}
}

var entrypoint = []string{"/bin/tine", "run", "-l", "127.0.0.1:0"}

// TestContainerServes: with no config, no right and nothing to write to, it serves; it is
// asked over TCP whether it is well; and docker stop ends it with code 0.
func TestContainerServes(t *testing.T) {
	t.Parallel()
	c := startContainer(t, nil, limits{}, append(slices.Clone(entrypoint), "-n", "2", "--health", "127.0.0.1:0", "--stop-delay", "2s", "--", "/bin/demo")...)
	c.await(is("all workers are ready"))
	address, health := c.told("starting", "listen"), c.told("health", "address")
	c.await(is("the control socket cannot be made where it is to be: tine finds this master all the same"))
	if status, body := get("http://" + address + "/"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get("http://" + health + path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	init := hostPID(t, c.tine, 1)
	if uid := strings.Fields(statusOf(init, "Uid")); len(uid) < 2 || uid[1] != strconv.Itoa(nobody) {
		t.Errorf("PID 1 has the user %v", uid)
	}
	if caps := statusOf(init, "CapEff"); strings.Trim(caps, "0") != "" {
		t.Errorf("PID 1 has the capabilities %s", caps)
	}
	began := time.Now()
	c.signal(syscall.SIGTERM)
	eventually.True(t, "not ready while the drains are still to come", func() bool {
		status, _ := get("http://" + health + "/readyz")
		return status == 503
	})
	if status, body := get("http://" + address + "/"); status != 200 {
		t.Errorf("in the delay: %d %s", status, body)
	}
	c.ended()
	t.Logf("stopped in %s", time.Since(began))
	if c.code != 0 {
		t.Errorf("exit code %d", c.code)
	}
}

// TestContainerStopIsInTime: a request that never ends, and a deadline; in a rollout the worker
// that has it drains already.
func TestContainerStopIsInTime(t *testing.T) {
	t.Parallel()
	for name, rollout := range map[string]bool{"while it serves": false, "during a rollout": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 3 * time.Second
			c := startContainer(t, []string{"TINE_STOP_TIMEOUT=3s"}, limits{}, append(slices.Clone(entrypoint), "-n", "1", "--", "/bin/demo")...)
			c.await(is("all workers are ready"))
			conn := dial(t, c.told("starting", "listen"))
			fmt.Fprintf(conn, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
			pid := hostPID(t, c.tine, c.await(is("ready")).PID)
			eventually.True(t, "the worker has the connection", func() bool { return establishedOf(pid) > 0 })
			if rollout {
				c.signal(syscall.SIGUSR2)
				c.await(is("draining"))
			}
			began := time.Now()
			c.signal(syscall.SIGTERM)
			c.ended()
			took := time.Since(began)
			t.Logf("stopped in %s", took)
			if took > limit || took < time.Second {
				t.Errorf("the stop took %s of %s", took, limit)
			}
			if c.code != 0 {
				t.Errorf("exit code %d", c.code)
			}
			if left := c.processes(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// establishedOf counts the sockets of a process that are connections.
func establishedOf(pid int) (n int) {
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		link, _ := os.Readlink(file)
		inode, ok := strings.CutPrefix(link, "socket:[")
		if !ok {
			continue
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 9 && f[9] == strings.TrimSuffix(inode, "]") && f[3] == "01" {
				n++
			}
		}
	}
	return n
}

// TestContainerPassesTheCodeOn: it ends as the app does.
func TestContainerPassesTheCodeOn(t *testing.T) {
	t.Parallel()
	c := startContainer(t, []string{"DEMO_EXIT_AFTER=0s", "DEMO_EXIT_CODE=37"}, limits{}, append(slices.Clone(entrypoint), "-n", "1", "--restart", "never", "--", "/bin/demo")...)
	c.ended()
	if c.code != 37 {
		t.Errorf("exit code %d, want the app's 37", c.code)
	}
}

// TestContainerStopWhileStarting: a rollout's new worker is not ready yet.
func TestContainerStopWhileStarting(t *testing.T) {
	t.Parallel()
	c := startContainer(t, []string{"DEMO_START_DELAY=500ms"}, limits{}, append(slices.Clone(entrypoint), "-n", "1", "--", "/bin/demo")...)
	c.await(is("all workers are ready"))
	c.signal(syscall.SIGUSR2)
	c.await(is("rollout begin"))
	began := time.Now()
	c.signal(syscall.SIGTERM)
	c.ended()
	t.Logf("stopped in %s", time.Since(began))
	if c.code != 0 {
		t.Errorf("exit code %d", c.code)
	}
	if left := c.processes(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestContainerSignals: those that images name as their STOPSIGNAL, and one that Docker passes
// on from a terminal whose window changes.
func TestContainerSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			c := startContainer(t, nil, limits{}, append(slices.Clone(entrypoint), "-n", "1", "--", "/bin/demo")...)
			c.await(is("all workers are ready"))
			c.signal(syscall.SIGWINCH)
			c.signal(sig)
			c.ended()
			if c.code != 0 {
				t.Errorf("exit code %d", c.code)
			}
			if said := c.told("stopping", "reason"); said != sig.String() {
				t.Errorf("stopped for %s", said)
			}
			if within := c.told("stopping", "within_ms"); within != "10000" {
				t.Errorf("it is not said how long a stop may take: %s ms are assumed", within)
			}
		})
	}
}

// TestContainerLimits: workers, GOMAXPROCS and GOMEMLIMIT are those of the cgroup.
func TestContainerLimits(t *testing.T) {
	t.Parallel()
	const memory = 256 << 20
	c := startContainer(t, nil, limits{cpus: 1, memory: memory}, append(slices.Clone(entrypoint), "--", "/bin/demo")...)
	c.await(is("all workers are ready"))
	ready := c.await(is("ready"))
	if n := c.told("starting", "workers"); n != "1" {
		t.Errorf("%s workers on one CPU", n)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", hostPID(t, c.tine, ready.PID)))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(b), "\x00")
	limit := memory * 9 / 10 / 2 // one worker, and one more in a rollout
	if want := fmt.Sprintf("GOMEMLIMIT=%d", limit); !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, want) }) {
		t.Errorf("no %s in %q", want, env)
	}
	if !slices.Contains(env, "GOMAXPROCS=1") {
		t.Errorf("no GOMAXPROCS=1 in %q", env)
	}
	c.signal(syscall.SIGTERM)
	c.ended()
}

// TestContainerReapsOrphans: PID 1 reaps each process that loses its parent.
func TestContainerReapsOrphans(t *testing.T) {
	t.Parallel()
	c := startContainer(t, nil, limits{}, "/bin/tine", "run", "-c", "/orphans.yaml")
	c.await(is("all workers are ready"))
	eventually.True(t, "the children are left behind", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(c.stdout.String(), "left 1000")
	})
	init := hostPID(t, c.tine, 1)
	if !slices.ContainsFunc(childrenOf(init), func(pid int) bool { return statusOf(pid, "Name") == "tine" }) {
		t.Error("PID 1 is not a keeper: it has no master below it")
	}
	eventually.True(t, "no process is left to be reaped", func() bool {
		return !slices.ContainsFunc(childrenOf(init), func(pid int) bool { return statusOf(pid, "Name") == "orphans" })
	})
	c.signal(syscall.SIGTERM)
	c.ended()
	if c.code != 0 {
		t.Errorf("exit code %d", c.code)
	}
}
