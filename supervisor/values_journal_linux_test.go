package supervisor

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/logs"
	"golang.org/x/sys/unix"
)

// valuesChild has the seed of a master that sets values until it is killed. Its descriptors are 3, the way to who keeps files; from
// 4 on the files that it inherits, whose names the variable has after the seed.
const valuesChild = "TINE_VALUES_TEST_CHILD"

func init() { children[valuesChild] = setForEver }

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
	s, err := New(config.Single("web", nil, 1, []string{"true"}))
	if err != nil {
		fail(err)
	}
	l := newLoop(s)
	l.config = &config.Config{}
	if l.logs, err = logs.New(config.Log{Format: "json", Level: "warn"}, os.Stderr, os.Stderr); err != nil {
		fail(err)
	}
	l.openValues(files, wire(3))
	for n := l.store.Epoch() + 1; ; n++ {
		key, value, deleted := mutation(n, func(key string) bool { _, ok := l.store.Get(key); return ok })
		epoch := uint64(0)
		if deleted {
			epoch = l.delete(key)
		} else {
			p, err := cache.Encode(value)
			if err != nil {
				fail(err)
			}
			if epoch, err = l.set(key, p, workerSource(n%3)); err != nil {
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
		restored := s.store.Epoch()
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
		for _, st := range s.store.Status(time.Now()) {
			if st.Source != workerSource(st.Epoch%3) || s.published.values[st.Key] != int64(st.Bytes) {
				t.Errorf("kill %d: %+v, published %+v", kill, st, s.published.values[st.Key])
			}
		}
		if bytes := s.published.total; (bytes == 0) != (len(want) == 0) {
			t.Errorf("kill %d: %d bytes are published", kill, bytes)
		}
		s.values.close()
		s.s.wg.Wait()
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

// TestValuesSurviveACrash of a master that a keeper starts again: also the workers' view of them, and the next epoch.
func TestValuesSurviveACrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	set := func(key, value string) uint64 {
		t.Helper()
		epoch, err := m.client.SetValue(bounded(t), key, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	want := map[string]string{}
	epoch := uint64(0)
	for round := range 4 {
		for _, size := range []int{10, ipc.HeapMax + 10, 3 << 20} {
			key, value := fmt.Sprint("key", size), strings.Repeat(strconv.Itoa(round), size)
			want[key] = value
			epoch++
			if got := set(key, value); got != epoch {
				t.Fatalf("round %d: epoch %d, wanted %d", round, got, epoch)
			}
		}
		st, _ = m.crash(st)
		for key, value := range want {
			got, _, err := m.client.Value(bounded(t), key)
			if err != nil || string(got) != value {
				t.Errorf("round %d: %s has %d bytes, wanted %d, %v", round, key, len(got), len(value), err)
			}
		}
		if st.Cache.Epoch != epoch || len(st.Cache.Values) != len(want) {
			t.Errorf("round %d: %d values of epoch %d, wanted %d of %d", round, len(st.Cache.Values), st.Cache.Epoch, len(want), epoch)
		}
		if got := set("key10", want["key10"]); got > epoch {
			t.Errorf("round %d: the same value is a change, of epoch %d", round, got)
		}
		m.await("the workers' epoch", func(st control.Status) bool {
			return allAppsReady(st) && !slices.ContainsFunc(onlyApp(st).Workers, func(w control.Worker) bool { return w.Epoch != epoch })
		})
	}
}

// TestValuesSurviveUpgrades, those that fail too, and a crash after them.
func TestValuesSurviveUpgrades(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	epoch := uint64(0)
	check := func(after string, wanted int) {
		t.Helper()
		for key, value := range map[string]string{"small": strings.Repeat("s", wanted), "large": strings.Repeat("l", ipc.HeapMax+wanted)} {
			got, _, err := m.client.Value(bounded(t), key)
			if err != nil || string(got) != value {
				t.Errorf("after %s: %s has %d bytes, wanted %d, %v", after, key, len(got), len(value), err)
			}
		}
		if now := m.await("ready", allAppsReady); now.Cache.Epoch != epoch || len(now.Cache.Values) != 2 {
			t.Errorf("after %s: %d values of epoch %d, wanted 2 of %d", after, len(now.Cache.Values), now.Cache.Epoch, epoch)
		}
	}
	for n := 1; n <= 3; n++ {
		for key, value := range map[string]string{"small": strings.Repeat("s", n), "large": strings.Repeat("l", ipc.HeapMax+n)} {
			var err error
			if epoch, err = m.client.SetValue(bounded(t), key, []byte(value)); err != nil || epoch > uint64(2*n) {
				t.Fatalf("epoch %d, %v", epoch, err)
			}
		}
		switch n {
		case 1:
			st, _ = m.upgrade(st, os.Args[0])
			check("an upgrade", n)
		case 2:
			if err := os.WriteFile(m.dir+"/die", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
				t.Fatal(err)
			}
			m.await("the old master", func(control.Status) bool {
				return strings.Contains(m.log.String(), "upgrade failed, everything runs on")
			})
			check("an upgrade that failed", n)
			st, _ = m.crash(st)
			check("a crash after it", n)
			if err := os.Remove(m.dir + "/die"); err != nil {
				t.Fatal(err)
			}
		case 3:
			st, _ = m.upgrade(st, os.Args[0])
			st, _ = m.crash(st)
			check("an upgrade and a crash", n)
		}
	}
}
