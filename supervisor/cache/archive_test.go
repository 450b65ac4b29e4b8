package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/record"
	"golang.org/x/sys/unix"
)

// keptFiles keeps files as the keeper does: duplicates of its own.
type keptFiles struct {
	t     testing.TB
	files map[string]*os.File
}

func newKeptFiles(t testing.TB) *keptFiles {
	s := &keptFiles{t: t, files: map[string]*os.File{}}
	t.Cleanup(func() {
		for _, f := range s.files {
			f.Close()
		}
	})
	return s
}

func (s *keptFiles) Keep(name string, f *os.File) {
	if s.files[name] != nil {
		s.t.Errorf("%s is kept already", name)
	}
	s.files[name] = duplicated(s.t, name, f)
}

func (s *keptFiles) Drop(name string) {
	if f := s.files[name]; f != nil {
		f.Close()
	}
	delete(s.files, name)
}

// inherited is what the next master is started with.
func (s *keptFiles) inherited() map[string]*os.File {
	out := map[string]*os.File{}
	for name, f := range s.files {
		out[name] = duplicated(s.t, name, f)
	}
	return out
}

func duplicated(t testing.TB, name string, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}

// master is the Values of one, with what they log.
type master struct {
	*Values
	log *bytes.Buffer
}

func newMaster(t testing.TB, files int) *master {
	m := &master{NewValues(func() (int, int) { return files, 1024 }), &bytes.Buffer{}}
	t.Cleanup(m.Close)
	return m
}

// successor is a master that begins with what is kept.
func successor(t testing.TB, k *keptFiles) *master {
	t.Helper()
	m := newMaster(t, 512)
	m.open(k.inherited(), k)
	return m
}

func (s *master) open(files map[string]*os.File, k Keep) {
	log := zerolog.New(s.log)
	if prepare := s.Open(&log, files, k); prepare != nil {
		prepare()
	}
}

func (s *master) said() string { return s.log.String() }

func (s *master) set(key string, p *ipc.Payload, source string) (uint64, error) {
	c, _, err := s.Set(time.Now(), key, p, source)
	return c.Epoch, err
}

func (s *master) publish(key string, p *ipc.Payload) (uint64, error) {
	c, _, err := s.Publish(time.Now(), key, p, 1)
	return c.Epoch, err
}

func (s *master) delete(key string) uint64 {
	c, _ := s.Delete(time.Now(), key)
	return c.Epoch
}

// mustSet sets a value as a program that embeds the master does.
func (s *master) mustSet(t testing.TB, key, value string) uint64 {
	t.Helper()
	epoch, err := s.set(key, payload(t, value), SourceSet)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func fileNames(files map[string]*os.File) string {
	return strings.Join(slices.Sorted(maps.Keys(files)), " ")
}

// holds checks the values, and that the files that are kept are those that are needed.
func (s *master) holds(t *testing.T, k *keptFiles, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	_, sets := s.Snapshot()
	for _, set := range sets {
		b, err := set.Payload.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got[set.Key] = string(b)
		set.Payload.Release()
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d values %v, wanted %d %v", len(got), slices.Sorted(maps.Keys(got)), len(want), slices.Sorted(maps.Keys(want)))
	}
	needed := []string{journalName}
	if s.archive.pack != nil {
		needed = append(needed, packName)
	}
	for _, set := range sets {
		if p, ok := s.Get(set.Key); ok && p.Mapped() {
			needed = append(needed, fmt.Sprintf("%s%d", filePrefix, set.Epoch))
		}
	}
	slices.Sort(needed)
	if all := strings.Join(needed, " "); fileNames(k.files) != all || fileNames(s.Files()) != all {
		t.Errorf("%q are kept and %q are to be, wanted %q", fileNames(k.files), fileNames(s.Files()), all)
	}
	for name, f := range s.Files() {
		if _, err := f.Stat(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bulk is a value that has a file.
func bulk(letter string) string { return strings.Repeat(letter, ipc.HeapMax+1) }

// TestValuesSurvive the master, each with its epoch and its source, and what they cost.
func TestValuesSurvive(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	publish := func(key, value string) {
		s.publish(key, payload(t, value))
	}
	set := func(key, value string) uint64 { return s.mustSet(t, key, value) }
	s.holds(t, k, nil)
	set("a", "1")
	set("b", bulk("b"))
	publish("c", "3")
	publish("d", bulk("d"))
	publish("e", bulk("e"))
	set("a", "2")
	set("b", bulk("B"))   // large after large
	publish("d", "small") // small after large
	publish("a", bulk("a"))
	set("gone", bulk("g"))
	s.delete("gone")
	publish("f", "same")
	set("f", "same") // no change, and not a worker's any more
	set("g", bulk("G"))
	publish("g", bulk("G"))
	set("empty", "")
	want := map[string]string{"a": bulk("a"), "b": bulk("B"), "c": "3", "d": "small", "e": bulk("e"), "f": "same", "g": bulk("G"), "empty": ""}
	s.holds(t, k, want)
	epoch, before, published := s.Epoch(), s.Status(time.Now()), s.published
	for round := range 3 {
		s.Close()
		s = successor(t, k)
		s.holds(t, k, want)
		if s.Epoch() != epoch {
			t.Errorf("round %d: epoch %d, wanted %d", round, s.Epoch(), epoch)
		}
		after := s.Status(time.Now())
		for i, a := range after {
			b := before[i]
			if a.Key != b.Key || a.Epoch != b.Epoch || a.Bytes != b.Bytes || a.Source != b.Source || a.Age < b.Age || a.Age > b.Age+time.Minute {
				t.Errorf("round %d: %+v, wanted %+v", round, a, b)
			}
		}
		if !maps.Equal(s.published.values, published.values) || s.published.total != published.total {
			t.Errorf("round %d: published %+v, wanted %+v", round, s.published, published)
		}
	}
	if got := set("a", bulk("a")); got > epoch {
		t.Errorf("the same value has epoch %d now", got)
	}
	if got := set("e", bulk("E")); got != epoch+1 {
		t.Errorf("the next epoch is %d", got)
	}
	want["e"] = bulk("E")
	if got := s.delete("b"); got != epoch+2 {
		t.Errorf("the next epoch is %d", got)
	}
	delete(want, "b")
	s.holds(t, k, want)
	s.Close()
	s = successor(t, k)
	s.holds(t, k, want)
	if s.Source("a") != SourceSet || s.published.values["a"] != 0 {
		t.Error("who set a value last is not known any more")
	}
	s.Close()
	if said := s.said(); strings.Contains(said, `"level":"error"`) || strings.Contains(said, `"level":"warn"`) {
		t.Errorf("said: %s", said)
	}
}

// TestLostValues: a value whose file is not there, or another one, is said once and left out.
func TestLostValues(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	for _, key := range []string{"a", "b", "c", "d"} {
		s.set(key, payload(t, bulk(key)), SourceSet)
	}
	s.Close()
	k.Drop("value.1")
	k.Drop("value.2")
	other, err := record.Memory("other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Truncate(7); err != nil {
		t.Fatal(err)
	}
	k.Keep("value.2", other)
	k.Keep("value.77", other) // that no value has
	s = successor(t, k)
	want := map[string]string{"c": bulk("c"), "d": bulk("d")}
	s.holds(t, k, want)
	if s.Epoch() != 4 {
		t.Errorf("epoch %d", s.Epoch())
	}
	s.Close()
	if said := s.said(); !strings.Contains(said, `"values":2,"keys":["a","b"],"error":"its file value.1 was not handed on"`) {
		t.Errorf("said: %s", said)
	}
	s = successor(t, k)
	if epoch := s.mustSet(t, "a", "new"); epoch != 5 {
		t.Errorf("epoch %d", epoch)
	}
	want["a"] = "new"
	s.holds(t, k, want)
	s.Close()
	if said := s.said(); strings.Contains(said, "lost") {
		t.Errorf("said again: %s", said)
	}
}

// TestUnreadableValues: what another version has written is said and not used, and the next master has this one's values.
func TestUnreadableValues(t *testing.T) {
	for _, content := range []string{"", "tine jnl\x63" + strings.Repeat("\x00", 300), strings.Repeat("x", 1000)} {
		k := newKeptFiles(t)
		f, err := record.Memory("values")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		k.Keep(journalName, f)
		k.Keep("value.3", f)
		s := successor(t, k)
		s.holds(t, k, nil)
		s.set("a", payload(t, "1"), SourceSet)
		s.Close()
		if said := s.said(); !strings.Contains(said, "cached values of the master before are lost") {
			t.Errorf("said: %s", said)
		}
		s = successor(t, k)
		s.holds(t, k, map[string]string{"a": "1"})
	}
}

// TestValuesGivenUp: values go on without their journal, and no later master takes what is left of it for them.
func TestValuesGivenUp(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	s.set("a", payload(t, "1"), SourceSet)
	s.set("b", payload(t, bulk("b")), SourceSet)
	handed := k.inherited()
	s.archive.file.Close()
	for i := range 3 {
		s.set("a", payload(t, bulk(strconv.Itoa(i))), SourceSet)
		s.delete("b")
	}
	if len(k.files) != 0 || len(s.Files()) != 0 {
		t.Errorf("%s are kept, %s are to be", fileNames(k.files), fileNames(s.Files()))
	}
	if p, ok := s.Get("a"); !ok || p.Len() != ipc.HeapMax+1 {
		t.Error("the value is not set")
	}
	if n := strings.Count(s.said(), "will not survive"); n != 1 {
		t.Errorf("said %d times: %s", n, s.said())
	}
	for _, f := range handed {
		f.Close()
	}
}

// TestValuesAfterAnotherMaster: one that was to take over has written to the journal, and dropped and kept files, before it ended.
func TestValuesAfterAnotherMaster(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	for _, key := range []string{"a", "b", "c", journalName, "gone"} {
		s.set(key, payload(t, bulk(key)), SourceSet)
	}
	s.set("small", payload(t, "1"), workerSource(1))
	s.delete("gone")
	want := map[string]string{"a": bulk("a"), "b": bulk("b"), "c": bulk("c"), journalName: bulk(journalName), "small": "1"}
	s.holds(t, k, want)
	other := successor(t, k)
	for i := range 20 {
		other.set("a", payload(t, bulk(strconv.Itoa(i))), SourceSet)
		other.set("small", payload(t, strings.Repeat("x", ipc.HeapMax)), SourceSet)
	}
	other.delete("b")
	other.Close()

	s.Rewrite()
	epoch := s.Epoch()
	check := func() {
		t.Helper()
		next := newMaster(t, 512)
		next.open(k.inherited(), nil)
		defer next.Close()
		for key, value := range want {
			if p, ok := next.Get(key); !ok {
				t.Errorf("%s is lost", key)
			} else if b, err := p.Bytes(); err != nil || string(b) != value {
				t.Errorf("%s has %d bytes, wanted %d, %v", key, len(b), len(value), err)
			}
		}
		if next.Len() != len(want) || next.Epoch() != epoch || next.Source("small") != s.Source("small") {
			t.Errorf("%d values of epoch %d, wanted %d of %d", next.Len(), next.Epoch(), len(want), epoch)
		}
	}
	check()
	for i := range 30 {
		want["b"] = bulk(strconv.Itoa(i))
		epoch = s.mustSet(t, "b", want["b"])
	}
	check()
	s.Close()
	s = successor(t, k) // which has all that was left behind dropped
	s.holds(t, k, want)
}

// TestLargeValueIsNotInTheJournal: it takes its memory once.
func TestLargeValueIsNotInTheJournal(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	p, err := ipc.ReadPayload(io.LimitReader(zeros{}, 60<<20), 60<<20)
	if err != nil {
		t.Fatal(err)
	}
	s.set("large", p, SourceSet)
	s.Close()
	s = successor(t, k)
	if got, ok := s.Get("large"); !ok || got.Len() != 60<<20 {
		t.Error("it is lost")
	}
	if info, err := s.archive.file.Stat(); err != nil || info.Size() > 4096 {
		t.Errorf("the journal has %d bytes, %v", info.Size(), err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestManyValuesSurvive: those that the journal has no room for are packed into one more file, and come and go there.
func TestManyValuesSurvive(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	value := func(i int) string { return strings.Repeat(strconv.Itoa(i%10), ipc.HeapMax) }
	n := MaxJournal/ipc.HeapMax + 500
	want := map[string]string{}
	set := func(i int, v string) {
		want[strconv.Itoa(i)] = v
		s.set(strconv.Itoa(i), payload(t, v), SourceSet)
	}
	for i := range n {
		set(i, value(i))
	}
	last := n - 1
	s.set(strconv.Itoa(last), payload(t, value(last)), "worker 1") // no change
	for round := range 3 {
		s.Close()
		s = successor(t, k)
		s.holds(t, k, want)
		if fileNames(k.files) != packName+" "+journalName {
			t.Fatalf("round %d: %s are kept", round, fileNames(k.files))
		}
		if got := s.Source(strconv.Itoa(last)); round == 0 && got != "worker 1" {
			t.Errorf("the last one is of %q", got)
		}
		set(last, bulk("l"))             // from the pack into a file
		set(last, value(last+round))     // and back
		set(last-1, value(last+round+1)) // from place to place
		s.delete(strconv.Itoa(last - 2 - round))
		delete(want, strconv.Itoa(last-2-round))
		set(n+round, value(round))
		set(last-10, "small") // out of it
		set(1, value(round+2))
		s.holds(t, k, want)
	}
	epoch := s.Epoch()
	s.Rewrite()
	s.holds(t, k, want)
	s.Close()
	s = successor(t, k)
	s.holds(t, k, want)
	if s.Epoch() != epoch {
		t.Errorf("epoch %d, wanted %d", s.Epoch(), epoch)
	}
	for key := range want {
		s.delete(key)
	}
	s.Close()
	s = successor(t, k)
	s.holds(t, k, nil)
	if said := s.said(); strings.Contains(said, `"level":"error"`) || strings.Contains(said, `"level":"warn"`) {
		t.Errorf("said: %s", said)
	}
}

// TestTooManyValues: what neither the journal nor the pack has room for does not survive, which is said once; the rest does.
func TestTooManyValues(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	s.archive.packMax = 10
	value := strings.Repeat("v", ipc.HeapMax)
	n := MaxJournal/ipc.HeapMax + 5
	for i := range n {
		s.set(strconv.Itoa(i), payload(t, value), SourceSet)
	}
	last := strconv.Itoa(n - 1)
	if s.archive.journal.Has(last, s.Epoch()) {
		t.Fatal("the journal and the pack are not full")
	}
	s.set(last, payload(t, value), "worker 1") // no change
	s.set(last, payload(t, bulk("l")), "worker 1")
	s.delete(last)
	s.delete("0")
	s.set("1", payload(t, "small"), SourceSet)
	epoch, rest := s.Epoch(), MaxJournal/4*3/ipc.HeapMax
	s.Close()
	if said := s.said(); strings.Count(said, "will not survive") != 1 || strings.Contains(said, "cannot be written down") {
		t.Errorf("said: %.1000s", said)
	}
	s = successor(t, k)
	if s.Len() < rest-20 || s.Epoch() != epoch || fileNames(k.files) != packName+" "+journalName {
		t.Errorf("%d values of epoch %d, wanted about %d of %d; %s are kept", s.Len(), s.Epoch(), rest, epoch, fileNames(k.files))
	}
}

// TestLostPack: what was in it is said to be lost, and the rest is there.
func TestLostPack(t *testing.T) {
	for name, lose := range map[string]func(k *keptFiles){
		"not handed on": func(k *keptFiles) { k.Drop(packName) },
		"spoilt":        func(k *keptFiles) { _, _ = k.files[packName].WriteAt(make([]byte, 100), 0) },
	} {
		k := newKeptFiles(t)
		s := successor(t, k)
		long, err := ipc.NewInlinePayload([]byte(bulk("p")))
		if err != nil {
			t.Fatal(err)
		}
		s.set("packed", long, SourceSet)
		s.set("small", payload(t, "s"), SourceSet)
		s.Close()
		lose(k)
		for round := range 2 { // it is said once
			s = successor(t, k)
			s.holds(t, k, map[string]string{"small": "s"})
			s.Close()
			if said := s.said(); strings.Contains(said, `"keys":["packed"]`) != (round == 0) {
				t.Errorf("%s: round %d: said %s", name, round, said)
			}
		}
	}
}

// TestLongInlineValue: another library may send as bytes what this one sends as a file.
func TestLongInlineValue(t *testing.T) {
	conn, child, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer child.Close()
	none := payload(t, "")
	defer none.Release()
	if err := conn.Write(ipc.Set{ID: 1, Key: "k", ChangedAt: time.Now(), Payload: none}); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 4096)
	n, err := child.Read(frame)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("i", ipc.InlineMax)
	frame = append(frame[:n], text...)
	binary.BigEndian.PutUint32(frame, binary.BigEndian.Uint32(frame)+uint32(len(text)))
	written := make(chan error, 1)
	go func() { _, err := child.Write(frame); written <- err }()
	got, err := conn.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	set := got.(ipc.Set)
	if set.Payload.Mapped() || set.Payload.Len() != len(text) {
		t.Fatalf("%d bytes, mapped %v", set.Payload.Len(), set.Payload.Mapped())
	}
	k := newKeptFiles(t)
	s := successor(t, k)
	s.publish(set.Key, set.Payload)
	want := map[string]string{"k": text}
	s.holds(t, k, want)
	s.set("k", payload(t, text), SourceSet)
	s.Close()
	s = successor(t, k)
	s.holds(t, k, want)
	s.set("k", payload(t, "short"), SourceSet)
	s.holds(t, k, map[string]string{"k": "short"})
}

// TestWhoSetIt: no source of the config is taken for a worker.
func TestWhoSetIt(t *testing.T) {
	for source, want := range map[string][2]bool{
		"set": {}, workerSource(12): {true, false}, "func": {false, true}, "exec: worker 3": {false, true}, "worker 3: select 1": {false, true},
		"worker ": {false, true}, "file: /set": {false, true},
	} {
		if got := [2]bool{fromWorker(source), fromConfig(source)}; got != want {
			t.Errorf("%q: %v, want %v", source, got, want)
		}
	}
}

// BenchmarkSetValue is what a change costs the loop, with the archive and without.
func BenchmarkSetValue(b *testing.B) {
	for _, archive := range []bool{false, true} {
		for _, bytes := range []int{100, ipc.HeapMax, 1 << 20} {
			b.Run(fmt.Sprintf("archive=%v/%d", archive, bytes), func(b *testing.B) {
				s := newMaster(b, 512)
				if archive {
					s.open(nil, nil)
				}
				even, odd := payload(b, strings.Repeat("a", bytes)), payload(b, strings.Repeat("b", bytes))
				defer even.Release()
				defer odd.Release()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p := even
					if i%2 == 1 {
						p = odd
					}
					if _, err := s.set("prices", p.Retain(), SourceSet); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
