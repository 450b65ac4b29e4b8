package cache

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"golang.org/x/sys/unix"
)

func init() { children[valuesChild] = setForEver }

// valuesChild has the seed of a master that sets values until it is killed. Its descriptors are 3, the way to who keeps files; from
// 4 on the files that it inherits, whose names the variable has after the seed.
const valuesChild = "TINE_VALUES_TEST_CHILD"

// mutation is the n-th change of all. It depends on what is there, so that each is a change.
func mutation(n uint64, has func(key string) bool) (key, value string, deleted bool) {
	random := rand.New(rand.NewPCG(n, 5))
	key = "key" + strconv.Itoa(random.IntN(12))
	text := strconv.FormatUint(n, 10) + " "
	switch random.IntN(8) {
	case 0:
		if has(key) {
			return key, "", true
		}
	case 1:
		return key, text + bulk("L"), false
	case 2:
		return key, text + strings.Repeat("m", 20_000), false
	}
	return key, text, false
}

// setForEver is the child's part: it says each epoch once it would have answered who set the value.
func setForEver(cfg string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	files := map[string]*os.File{}
	for i, name := range strings.Fields(cfg) {
		files[name] = os.NewFile(uintptr(4+i), name)
	}
	s := &master{Values: NewValues(func() (int, int) { return 512, 1024 })}
	log := zerolog.New(os.Stderr).Level(zerolog.WarnLevel)
	s.Open(&log, files, wire(3))
	for n := s.Epoch() + 1; ; n++ {
		key, value, deleted := mutation(n, func(key string) bool { _, ok := s.Get(key); return ok })
		epoch := uint64(0)
		if deleted {
			epoch = s.delete(key)
		} else {
			p, err := Encode(value)
			if err != nil {
				fail(err)
			}
			if epoch, err = s.set(key, p, workerSource(n%3)); err != nil {
				fail(err)
			}
		}
		if epoch != n {
			fail(fmt.Errorf("change %d has epoch %d", n, epoch))
		}
		if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, epoch)); err != nil {
			os.Exit(0)
		}
	}
}

// wire is a way to who keeps files: a packet for each order, with the file.
type wire int

func (w wire) Keep(name string, f *os.File) { w.send("+"+name, unix.UnixRights(int(f.Fd()))) }
func (w wire) Drop(name string)             { w.send("-"+name, nil) }
func (w wire) send(text string, rights []byte) {
	if err := unix.Sendmsg(int(w), []byte(text), rights, nil, 0); err != nil {
		fmt.Fprintln(os.Stderr, text, err)
		os.Exit(1)
	}
}

// obey does what comes over the other end of a wire until that is closed.
func (k *keptFiles) obey(end int) error {
	text, rights := make([]byte, 300), make([]byte, unix.CmsgSpace(4))
	for {
		n, m, _, _, err := unix.Recvmsg(end, text, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		name := string(text[1:n])
		if text[0] == '-' {
			k.Drop(name)
			continue
		}
		messages, err := unix.ParseSocketControlMessage(rights[:m])
		if err != nil || len(messages) != 1 {
			return fmt.Errorf("%s came with %d messages: %w", name, len(messages), err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			return fmt.Errorf("%s came with %d files: %w", name, len(fds), err)
		}
		f := os.NewFile(uintptr(fds[0]), name)
		k.Keep(name, f)
		f.Close()
	}
}

// TestKilledWhileSetting kills masters at full speed. Each time the next one has what was acknowledged last, or the change that was
// in hand, with all that belongs to it.
func TestKilledWhileSetting(t *testing.T) {
	kills, most := 25, 10*time.Second
	if testing.Short() {
		kills = 10
	}
	k := newKeptFiles(t)
	want := map[string]string{}
	epoch, began := uint64(0), time.Now()
	for kill := range kills {
		if time.Since(began) > most {
			t.Logf("%d kills", kill)
			break
		}
		acked := killSetter(t, k, epoch)
		s := successor(t, k)
		restored := s.Epoch()
		if restored != acked && restored != acked+1 {
			t.Fatalf("kill %d: epoch %d, %d was acknowledged", kill, restored, acked)
		}
		for epoch++; epoch <= restored; epoch++ {
			key, value, deleted := mutation(epoch, func(key string) bool { _, ok := want[key]; return ok })
			if want[key] = value; deleted {
				delete(want, key)
			}
		}
		epoch = restored
		s.holds(t, k, want)
		for _, st := range s.Status(time.Now()) {
			if st.Source != workerSource(st.Epoch%3) || s.published.values[st.Key] != int64(st.Bytes) {
				t.Errorf("kill %d: %+v, published %+v", kill, st, s.published.values[st.Key])
			}
		}
		if bytes := s.published.total; (bytes == 0) != (len(want) == 0) {
			t.Errorf("kill %d: %d bytes are published", kill, bytes)
		}
		s.Close()
		if said := s.said(); strings.Contains(said, `"level":"error"`) {
			t.Fatalf("kill %d: %s", kill, said)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d changes, %d values, the last of %d bytes at most", epoch, len(want), ipc.HeapMax+10)
}

// killSetter starts one, kills it in the middle of what it does, and returns the epoch that it acknowledged last.
func killSetter(t *testing.T, k *keptFiles, last uint64) (acked uint64) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	own := os.NewFile(uintptr(ends[1]), "wire")
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.ExtraFiles, child.Stderr = []*os.File{own}, os.Stderr
	var names []string
	for name, f := range k.files {
		names = append(names, name)
		child.ExtraFiles = append(child.ExtraFiles, f)
	}
	child.Env = append(os.Environ(), valuesChild+"= "+strings.Join(names, " "))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	own.Close()
	obeyed := make(chan error, 1)
	go func() { obeyed <- k.obey(ends[0]) }()
	after, in := last+1+rand.Uint64N(200), bufio.NewReader(out)
	var b [8]byte
	for acked = last; ; {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			break
		}
		if acked = binary.LittleEndian.Uint64(b[:]); acked == after {
			child.Process.Kill()
		}
	}
	child.Wait()
	if err := <-obeyed; err != nil {
		t.Fatal(err)
	}
	if acked < after {
		t.Fatalf("it ended at epoch %d, before it was killed at %d", acked, after)
	}
	return acked
}
