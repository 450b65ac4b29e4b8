package ipc

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFromEnvAbsent(t *testing.T) {
	t.Setenv(EnvChannel, "")
	os.Unsetenv(EnvChannel)
	if c, err := FromEnv(); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}

func TestFromEnv(t *testing.T) {
	keepsFDs(t)
	a, child, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fd, err := Descriptor(child)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	child.Close()
	t.Setenv(EnvChannel, strconv.Itoa(inherited))
	b, err := FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, ok := os.LookupEnv(EnvChannel); ok {
		t.Error("the variable is still there for children")
	}
	if err := b.Write(Hello{Protocol: Protocol, PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	if h := next[Hello](t, a); h.PID != os.Getpid() {
		t.Errorf("%#v", h)
	}
	sc, err := b.sock.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = sc.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the channel is inherited by children (%#x, %v)", flags, err)
		}
	})
}

func TestFromEnvRefuses(t *testing.T) {
	keepsFDs(t)
	file, err := os.Open("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lf, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer lf.Close()
	dgram, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(dgram[:])
	alone, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(alone)
	number := func(f *os.File) string {
		fd, err := Descriptor(f)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(fd)
	}
	for _, c := range []struct{ value, want string }{
		{"", `=""`},
		{"three", `="three": the number of an inherited descriptor`},
		{"-1", `="-1"`},
		{"1", `="1": the number`},
		{"99999", "=99999: descriptor 99999 is not open"},
		{number(file), "a regular file, a Unix stream socket is needed"},
		{number(r), "a pipe, a Unix stream"},
		{number(lf), "a network socket"},
		{strconv.Itoa(dgram[0]), "a Unix socket of type 2"},
		{strconv.Itoa(alone), "without a peer"},
	} {
		t.Setenv(EnvChannel, c.value)
		conn, err := FromEnv()
		if conn != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), EnvChannel) {
			t.Errorf("%q: %v, error %v, wanted %q", c.value, conn, err, c.want)
		}
		if _, ok := os.LookupEnv(EnvChannel); ok {
			t.Errorf("%q: the variable is still there for children", c.value)
		}
	}
}

// TestInherited goes the whole way: a child process with the channel as descriptor 3.
func TestInherited(t *testing.T) {
	if os.Getenv("IPC_TEST_CHILD") != "" {
		c, err := FromEnv()
		if err != nil || c == nil {
			fmt.Println("child:", c, err)
			os.Exit(1)
		}
		s := next[Set](t, c)
		b := content(t, s.Payload)
		if err := c.Write(Message{Topic: s.Key, Payload: newPayload(t, b[len(b)-5:])}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(); err == nil {
			t.Fatal("no end")
		}
		return
	}
	keepsFDs(t)
	a, child, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestInherited$")
	cmd.Env = append(os.Environ(), "IPC_TEST_CHILD=1", EnvChannel+"=3")
	cmd.ExtraFiles = []*os.File{child}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child.Close()
	p := newPayload(t, append(pattern(1<<20, 1), "hello"...))
	defer p.Release()
	err = a.Write(Set{Key: "greeting", Payload: p})
	if err == nil {
		m := next[Message](t, a)
		if m.Topic != "greeting" || string(content(t, m.Payload)) != "hello" {
			t.Errorf("%s %q", m.Topic, content(t, m.Payload))
		}
	}
	a.Close()
	if werr := cmd.Wait(); err != nil || werr != nil {
		t.Errorf("%v, %v: %s", err, werr, out.String())
	}
}

func TestScrubEnv(t *testing.T) {
	in := []string{"PATH=/bin", "TINE_CHANNEL_FD=3", "TINE_LISTEN=:1", "LISTEN_FDS=1", "LISTEN_PID=2", "LISTEN_FDNAMES=x", "NOTIFY_SOCKET=@x",
		"WATCHDOG_USEC=1", "WATCHDOG_PID=1", "TABLEFLIP_HAS_PARENT_7DIU3=yes", "NODE_CHANNEL_FD=4", "NODE_UNIQUE_ID=1",
		"MAINPID=1", "LISTEN=:1", "NODE_ENV=production", "MY_TINE_X=1", "TINE_RUNTIME_DIR=/x", "odd", "=x"}
	want := []string{"PATH=/bin", "LISTEN=:1", "NODE_ENV=production", "MY_TINE_X=1", "TINE_RUNTIME_DIR=/x", "odd", "=x"}
	copied := slices.Clone(in)
	if got := ScrubEnv(in); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(in, copied) {
		t.Error("ScrubEnv has changed its argument")
	}
}
