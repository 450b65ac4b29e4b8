package worker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// runChild makes the test binary a service, that stands alone or has a test as its master.
func runChild() bool {
	if os.Getenv("WORKER_TEST_ATTACH") != "" {
		w, err := Start()
		if err == nil {
			err = w.Serve(http.HandlerFunc(hello200))
		}
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(3)
		}
		return true
	}
	addr := os.Getenv("WORKER_TEST_LISTEN")
	if addr == "" {
		return false
	}
	w, err := Start(WithListen(addr), WithDrain(0, 5*time.Second))
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(3)
	}
	lns, err := w.Listeners()
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(3)
	}
	fmt.Println(lns[0].Addr())
	err = w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Println("in")
		<-w.Draining()
		io.WriteString(rw, "finished")
	}))
	fmt.Println("returned", err)
	return true
}

func TestAloneEndsPolitelyOnSIGTERM(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WORKER_TEST_LISTEN=127.0.0.1:0")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(eventually.Patience(), func() { cmd.Process.Kill() })
	defer guard.Stop()
	out := bufio.NewScanner(pipe)
	line := func() string { out.Scan(); return out.Text() }
	c := dial(t, line())
	c.write(hi)
	if s := line(); s != "in" {
		t.Fatalf("child said %q", s)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, body := c.answer(); body != "finished" {
		t.Errorf("body %q", body)
	}
	if s := line(); s != "returned <nil>" {
		t.Errorf("child said %q", s)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func alone(t *testing.T, opts ...Option) *Worker {
	t.Helper()
	w, err := Start(append([]Option{WithLogger(quiet()), WithListen("127.0.0.1:0"), WithDrain(0, eventually.Patience())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestAlone(t *testing.T) {
	w := alone(t)
	if w.Attached() || w.App() != "" || w.ID() != 0 || w.Slot() != 0 || w.Generation() != 0 {
		t.Error("has an identity")
	}
	n := Cached[int](w, "n")
	seen := make(chan uint64, 4)
	w.Watch("n", func(c Change) { seen <- c.Epoch })
	for want := uint64(1); want <= 2; want++ {
		if e, err := w.Publish(t.Context(), "n", want); e != want || err != nil {
			t.Errorf("%d %v", e, err)
		}
		if v, ok := n.Get(); v != int(want) || !ok {
			t.Errorf("n is %d %v", v, ok)
		}
		if e := eventually.Receive(t, "watch", seen); e != want {
			t.Errorf("saw %d", e)
		}
	}
	if err := w.Unpublish(t.Context(), "n"); err != nil {
		t.Error(err)
	}
	if _, ok := n.Get(); ok {
		t.Error("still there")
	}
	if err := w.Send("x", 1); !errors.Is(err, ErrAlone) {
		t.Errorf("error is %v", err)
	}
	if err := w.Call(t.Context(), "x", 1, nil); !errors.Is(err, ErrAlone) {
		t.Errorf("error is %v", err)
	}
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
}

func TestAloneListensWhereTold(t *testing.T) {
	sock := t.TempDir() + "/s"
	w := alone(t, WithListen("tcp4://127.0.0.1:0", "unix:"+sock))
	lns, err := w.Listeners()
	if err != nil || len(lns) != 2 || lns[1].Addr().String() != sock {
		t.Fatalf("%v %v", lns, err)
	}
	if _, err := w.Listener(); err == nil || !strings.Contains(err.Error(), "2 addresses") {
		t.Errorf("error is %v", err)
	}
	again := alone(t, WithListen(lns[0].Addr().String()))
	if err := again.Serve(nil); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error is %v", err)
	}
}
