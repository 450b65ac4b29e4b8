package claim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	squatterName = "CLAIM_TEST_SQUAT" // tells the test's program, started as another user, what to bind
	squatterFull = "CLAIM_TEST_FULL"  // and to keep its queue full
)

func TestMain(m *testing.M) {
	if address := os.Getenv(squatterName); address != "" {
		if _, err := bind(address); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if os.Getenv(squatterFull) != "" {
			if err := fill(address); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
		fmt.Println("bound")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
		return
	}
	os.Exit(m.Run())
}

// fill connects until the queue is full. The connections are open until the process ends, or each is answered.
func fill(address string) error {
	for range 10 * backlog {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: address})
		}
		if err != nil {
			unix.Close(fd)
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			return err
		}
	}
	return errors.New("the queue is never full")
}

// world makes one of the test's own.
func world(t *testing.T) {
	t.Helper()
	t.Setenv(EnvWorld, t.TempDir())
}

func take(t *testing.T, name string) *Claim {
	t.Helper()
	c, err := Take(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var example = About{Name: "web", PID: 17, Master: 18, State: Serving, Control: "@x", Place: "/run/web.sock", Config: "/etc/web.yaml", Env: "live"}

func TestTake(t *testing.T) {
	world(t)
	c := take(t, "web")
	if err := c.Serve(func() About { return example }); err != nil {
		t.Fatal(err)
	}
	var taken *TakenError
	if _, err := Take(t.Context(), "web"); !errors.As(err, &taken) || taken.About != example || err.Error() != "web runs already (pid 17)" {
		t.Errorf("a second one: %v", err)
	}
	if a, err := Ask(t.Context(), "web"); err != nil || a != example {
		t.Errorf("asked, it says %+v, %v", a, err)
	}
	take(t, "api")
	// A duplicate holds the claim on, and each process that has it can answer.
	fd, err := unix.FcntlInt(c.File().Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	next, err := Adopt(os.NewFile(uintptr(fd), "claim"))
	if err != nil || next.Name() != "web" {
		t.Fatalf("%v, %v", next, err)
	}
	if err := next.Serve(func() About { return About{Name: "web", PID: 5} }); err != nil {
		t.Fatal(err)
	}
	if a, err := Ask(t.Context(), "web"); err != nil || a.PID != 5 {
		t.Errorf("the next one says %+v, %v", a, err)
	}
	next.Close()
	if _, err := Ask(t.Context(), "web"); !errors.Is(err, ErrNone) {
		t.Errorf("after the end: %v", err)
	}
	take(t, "web")
}

// A holder that is stopped has its name all the same, and a question to it ends.
func TestSilent(t *testing.T) {
	world(t)
	take(t, "web")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a, err := Ask(ctx, "web"); !errors.Is(err, ErrSilent) || a.PID != os.Getpid() {
		t.Errorf("%+v, %v", a, err)
	}
}

// Many that ask at once, or one that does so to hide the master, make no other process believe that the master hangs.
func TestManyAsk(t *testing.T) {
	world(t)
	c := take(t, "web")
	if err := fill(c.Address()); err != nil {
		t.Fatal(err)
	}
	if _, err := askOnce(t.Context(), c.Address()); !errors.Is(err, errAgain) {
		t.Errorf("with a full queue: %v", err)
	}
	if err := c.Serve(func() About { return example }); err != nil {
		t.Fatal(err)
	}
	if a, err := Ask(t.Context(), "web"); err != nil || a != example {
		t.Errorf("it says %+v, %v", a, err)
	}
}

// A holder that ends while a question waits is none.
func TestEndsWhileAsked(t *testing.T) {
	world(t)
	c := take(t, "web")
	asked := make(chan error)
	go func() {
		_, err := Ask(t.Context(), "web")
		asked <- err
	}()
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(c.File().Fd()), Events: unix.POLLIN}}, 10_000); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-asked; !errors.Is(err, ErrNone) {
		t.Errorf("it says %v", err)
	}
}

// Worlds, users and mount namespaces do not know each other.
func TestAddress(t *testing.T) {
	t.Setenv(EnvWorld, "")
	none := Address("web")
	if want := fmt.Sprintf("@tine/1/%d/%s/-/web", os.Geteuid(), mounts()); none != want {
		t.Errorf("%s, want %s", none, want)
	}
	world(t)
	if other := Address("web"); other == none || !strings.HasSuffix(other, "/web") {
		t.Errorf("in a world of its own: %s", other)
	}
	if a := Address(strings.Repeat("x/", 500)); len(a) > 107 || strings.Count(a, "/") != 5 {
		t.Errorf("a long name: %s (%d bytes)", a, len(a))
	}
}

func TestFind(t *testing.T) {
	world(t)
	for _, name := range []string{"web", "api", "a name/with that"} {
		if err := take(t, name).Serve(func() About { return About{Name: name, PID: 9} }); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, f := range Find(t.Context()) {
		if f.Err != nil {
			t.Error(f.Err)
		}
		names = append(names, f.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"a name/with that", "api", "web"}) {
		t.Errorf("%q", names)
	}
	world(t)
	if all := Find(t.Context()); len(all) > 0 {
		t.Errorf("in another world: %+v", all)
	}
}

// A name that another user holds is told as that user's, and nothing that the holder says is believed.
func TestStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: another user's name needs root, to become one")
	}
	for name, full := range map[string]string{"answering": "", "with a full queue": "1"} {
		t.Run(name, func(t *testing.T) { strangerHolds(t, full) })
	}
}

func strangerHolds(t *testing.T, full string) {
	world(t)
	dir := t.TempDir()
	for d := dir; d != "/"; d = filepath.Dir(d) { // so that the other user can run the program
		_ = os.Chmod(d, 0o755)
		if filepath.Dir(d) == os.TempDir() {
			break
		}
	}
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "squatter")
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{squatterName + "=" + Address("web"), squatterFull + "=" + full}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	text := make([]byte, 64)
	if n, err := out.Read(text); string(text[:n]) != "bound\n" {
		t.Fatalf("%q, %v", text[:n], err)
	}
	var stranger *StrangerError
	if _, err := Take(t.Context(), "web"); !errors.As(err, &stranger) || stranger.UID != nobody || full == "" && stranger.PID != cmd.Process.Pid {
		t.Errorf("Take: %v", err)
	}
	if all := Find(t.Context()); len(all) != 1 || !errors.As(all[0].Err, &stranger) || all[0].About != (About{}) {
		t.Errorf("Find: %+v", all)
	}
}

func TestListening(t *testing.T) {
	const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 1 @tine/1/0/2/-/web
0000000000000000: 00000003 00000000 00000000 0001 03 2 @tine/1/0/2/-/web
0000000000000000: 00000002 00000000 00010000 0001 01 3 @tine/1/0/2/-/api
0000000000000000: 00000002 00000000 00010000 0001 01 4 @tine/1/0/22/-/else
0000000000000000: 00000002 00000000 00010000 0001 01 5 @tine/1/0/2/-/a/b
0000000000000000: 00000002 00000000 00010000 0001 01 6 /run/ @tine/1/0/2/-/spoof
0000000000000000: 00000002 00000000
`
	if got := listening(table, "@tine/1/0/2/-/"); !slices.Equal(got, []string{"@tine/1/0/2/-/api", "@tine/1/0/2/-/web"}) {
		t.Errorf("%q", got)
	}
}

func TestAbout(t *testing.T) {
	if got := parse(example.text()); got != example {
		t.Errorf("%+v", got)
	}
	if got := parse("name=web\ncontrol=/a\nnew=1\ncontrol=@b\npid=x\nrest"); got != (About{Name: "web", Control: "@b"}) {
		t.Errorf("%+v", got)
	}
	if text := (About{Name: "a", Config: "/x\npid=1"}).Text(); text != "name=a\n" {
		t.Errorf("a path with a line feed: %q", text)
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		holder, path string
		want         bool
	}{{file, file, true}, {file, link, true}, {"/gone/x", "/gone/./x", true}, {file, "/gone/x", false}, {"", file, false}, {file, "", false}} {
		if got := (About{Config: test.holder}).SameConfig(test.path); got != test.want {
			t.Errorf("%s and %s: %v", test.holder, test.path, got)
		}
	}
}

// TestFile is what holds where there are no abstract names.
func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "claims")
	c, err := takeFile(t.Context(), dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != "web" {
		t.Errorf("its name is %s", c.Name())
	}
	if err := errors.Join(c.write(About{Name: "a longer one", PID: 1}), c.write(example)); err != nil {
		t.Fatal(err)
	}
	var taken *TakenError
	if _, err := takeFile(t.Context(), dir, "web"); !errors.As(err, &taken) || taken.About != example {
		t.Errorf("a second one: %v", err)
	}
	if all := findFiles(t.Context(), dir); len(all) != 1 || all[0].About != example {
		t.Errorf("%+v", all)
	}
	c.file.Close()
	if _, err := askFile(t.Context(), c.Address()); !errors.Is(err, ErrNone) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := takeFile(t.Context(), dir, "web"); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := takeFile(t.Context(), dir, "api"); err == nil {
		t.Error("a folder that anybody can change is used")
	}
}
