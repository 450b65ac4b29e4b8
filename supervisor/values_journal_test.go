package supervisor

import (
	"context"
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

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/logs"
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

// successor is a master that begins with what is kept.
func successor(t *testing.T, k *keptFiles, sources ...config.CacheValue) *stage {
	t.Helper()
	s := newStage(t)
	s.config = &config.Config{Cache: sources}
	s.openValues(k.inherited(), k)
	t.Cleanup(func() { s.values.close(); s.s.wg.Wait() })
	return s
}

// mustSet sets a value as a program that embeds the master does.
func (s *stage) mustSet(t *testing.T, key, value string) uint64 {
	t.Helper()
	epoch, err := s.set(key, encoded(t, value), sourceSet)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func fileNames(files map[string]*os.File) string {
	return strings.Join(slices.Sorted(maps.Keys(files)), " ")
}

// holds checks the values, and that the files that are kept are those that are needed.
func (s *stage) holds(t *testing.T, k *keptFiles, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	_, sets := s.store.Snapshot()
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
	needed := []string{valuesName}
	if s.values.pack != nil {
		needed = append(needed, packName)
	}
	for _, set := range sets {
		if p, ok := s.store.Get(set.Key); ok && p.Mapped() {
			needed = append(needed, fmt.Sprintf("%s%d", valuePrefix, set.Epoch))
		}
	}
	slices.Sort(needed)
	if all := strings.Join(needed, " "); fileNames(k.files) != all || fileNames(s.values.files()) != all {
		t.Errorf("%q are kept and %q are to be, wanted %q", fileNames(k.files), fileNames(s.values.files()), all)
	}
	for name, f := range s.values.files() {
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
		s.publish(s.m, ipc.Set{ID: 1, Key: key, Payload: encoded(t, value)})
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
	epoch, before, published := s.store.Epoch(), s.store.Status(time.Now()), s.published
	for round := range 3 {
		s.values.close()
		s = successor(t, k)
		s.holds(t, k, want)
		if s.store.Epoch() != epoch {
			t.Errorf("round %d: epoch %d, wanted %d", round, s.store.Epoch(), epoch)
		}
		after := s.store.Status(time.Now())
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
	s.s.wg.Wait() // they are read, to be compared
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
	s.values.close()
	s = successor(t, k)
	s.holds(t, k, want)
	if s.store.Source("a") != sourceSet || s.published.values["a"] != 0 {
		t.Error("who set a value last is not known any more")
	}
	s.values.close()
	if said := s.said(); strings.Contains(said, `"level":"error"`) || strings.Contains(said, `"level":"warn"`) {
		t.Errorf("said: %s", said)
	}
}

// TestLostValues: a value whose file is not there, or another one, is said once and left out.
func TestLostValues(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	for _, key := range []string{"a", "b", "c", "d"} {
		s.set(key, encoded(t, bulk(key)), sourceSet)
	}
	s.values.close()
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
	if s.store.Epoch() != 4 {
		t.Errorf("epoch %d", s.store.Epoch())
	}
	s.values.close()
	if said := s.said(); !strings.Contains(said, `"values":2,"keys":["a","b"],"error":"its file value.1 was not handed on"`) {
		t.Errorf("said: %s", said)
	}
	s = successor(t, k)
	if epoch := s.mustSet(t, "a", "new"); epoch != 5 {
		t.Errorf("epoch %d", epoch)
	}
	want["a"] = "new"
	s.holds(t, k, want)
	s.values.close()
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
		k.Keep(valuesName, f)
		k.Keep("value.3", f)
		s := successor(t, k)
		s.holds(t, k, nil)
		s.set("a", encoded(t, "1"), sourceSet)
		s.values.close()
		if said := s.said(); !strings.Contains(said, "cached values of the master before are lost") {
			t.Errorf("said: %s", said)
		}
		s = successor(t, k)
		s.holds(t, k, map[string]string{"a": "1"})
	}
}

// TestValuesGivenUp: values go on without their journal, and nobody takes what is left of it for them.
func TestValuesGivenUp(t *testing.T) {
	k := newKeptFiles(t)
	s := successor(t, k)
	s.set("a", encoded(t, "1"), sourceSet)
	s.set("b", encoded(t, bulk("b")), sourceSet)
	handed := k.inherited()
	s.values.file.Close()
	for i := range 3 {
		s.set("a", encoded(t, bulk(strconv.Itoa(i))), sourceSet)
		s.delete("b")
	}
	if len(k.files) != 0 || len(s.values.files()) != 0 {
		t.Errorf("%s are kept, %s are to be", fileNames(k.files), fileNames(s.values.files()))
	}
	if p, ok := s.store.Get("a"); !ok || p.Len() != ipc.HeapMax+1 {
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
	for _, key := range []string{"a", "b", "c", valuesName, "gone"} {
		s.set(key, encoded(t, bulk(key)), sourceSet)
	}
	s.set("small", encoded(t, "1"), workerSource(1))
	s.delete("gone")
	want := map[string]string{"a": bulk("a"), "b": bulk("b"), "c": bulk("c"), valuesName: bulk(valuesName), "small": "1"}
	s.holds(t, k, want)
	other := successor(t, k)
	for i := range 20 {
		other.set("a", encoded(t, bulk(strconv.Itoa(i))), sourceSet)
		other.set("small", encoded(t, strings.Repeat("x", ipc.HeapMax)), sourceSet)
	}
	other.delete("b")
	other.values.close()

	s.rewriteValues()
	epoch := s.store.Epoch()
	check := func() {
		t.Helper()
		next := newStage(t)
		next.config = &config.Config{}
		next.openValues(k.inherited(), nil)
		defer next.values.close()
		for key, value := range want {
			if p, ok := next.store.Get(key); !ok {
				t.Errorf("%s is lost", key)
			} else if b, err := p.Bytes(); err != nil || string(b) != value {
				t.Errorf("%s has %d bytes, wanted %d, %v", key, len(b), len(value), err)
			}
		}
		if next.store.Len() != len(want) || next.store.Epoch() != epoch || next.store.Source("small") != s.store.Source("small") {
			t.Errorf("%d values of epoch %d, wanted %d of %d", next.store.Len(), next.store.Epoch(), len(want), epoch)
		}
		next.s.wg.Wait()
	}
	check()
	for i := range 30 {
		want["b"] = bulk(strconv.Itoa(i))
		epoch = s.mustSet(t, "b", want["b"])
	}
	check()
	s.values.close()
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
	s.set("large", p, sourceSet)
	s.values.close()
	s = successor(t, k)
	if got, ok := s.store.Get("large"); !ok || got.Len() != 60<<20 {
		t.Error("it is lost")
	}
	if info, err := s.values.file.Stat(); err != nil || info.Size() > 4096 {
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
	n := cache.MaxJournal/ipc.HeapMax + 500
	want := map[string]string{}
	set := func(i int, v string) {
		want[strconv.Itoa(i)] = v
		s.set(strconv.Itoa(i), encoded(t, v), sourceSet)
	}
	for i := range n {
		set(i, value(i))
	}
	last := n - 1
	s.set(strconv.Itoa(last), encoded(t, value(last)), "worker 1") // no change
	for round := range 3 {
		s.values.close()
		s = successor(t, k)
		s.holds(t, k, want)
		if fileNames(k.files) != packName+" "+valuesName {
			t.Fatalf("round %d: %s are kept", round, fileNames(k.files))
		}
		if got := s.store.Source(strconv.Itoa(last)); round == 0 && got != "worker 1" {
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
	epoch := s.store.Epoch()
	s.rewriteValues()
	s.holds(t, k, want)
	s.values.close()
	s = successor(t, k)
	s.holds(t, k, want)
	if s.store.Epoch() != epoch {
		t.Errorf("epoch %d, wanted %d", s.store.Epoch(), epoch)
	}
	for key := range want {
		s.delete(key)
	}
	s.values.close()
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
	s.values.packMax = 10
	value := strings.Repeat("v", ipc.HeapMax)
	n := cache.MaxJournal/ipc.HeapMax + 5
	for i := range n {
		s.set(strconv.Itoa(i), encoded(t, value), sourceSet)
	}
	last := strconv.Itoa(n - 1)
	if s.values.journal.Has(last, s.store.Epoch()) {
		t.Fatal("the journal and the pack are not full")
	}
	s.set(last, encoded(t, value), "worker 1") // no change
	s.set(last, encoded(t, bulk("l")), "worker 1")
	s.delete(last)
	s.delete("0")
	s.set("1", encoded(t, "small"), sourceSet)
	epoch, rest := s.store.Epoch(), cache.MaxJournal/4*3/ipc.HeapMax
	s.values.close()
	if said := s.said(); strings.Count(said, "will not survive") != 1 || strings.Contains(said, "cannot be written down") {
		t.Errorf("said: %.1000s", said)
	}
	s = successor(t, k)
	if s.store.Len() < rest-20 || s.store.Epoch() != epoch || fileNames(k.files) != packName+" "+valuesName {
		t.Errorf("%d values of epoch %d, wanted about %d of %d; %s are kept", s.store.Len(), s.store.Epoch(), rest, epoch, fileNames(k.files))
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
		s.set("packed", long, sourceSet)
		s.set("small", encoded(t, "s"), sourceSet)
		s.values.close()
		lose(k)
		for round := range 2 { // it is said once
			s = successor(t, k)
			s.holds(t, k, map[string]string{"small": "s"})
			s.values.close()
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
	none := encoded(t, "")
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
	s.publish(s.m, set)
	want := map[string]string{"k": text}
	s.holds(t, k, want)
	s.set("k", encoded(t, text), sourceSet)
	s.values.close()
	s = successor(t, k)
	s.holds(t, k, want)
	s.set("k", encoded(t, "short"), sourceSet)
	s.holds(t, k, map[string]string{"k": "short"})
}

// TestRestoredSources: a value that is there already is the source's first result, and the same one is no change. One whose
// source is not in the config any more is deleted.
func TestRestoredSources(t *testing.T) {
	fetch := func(context.Context) (any, error) { return "v", nil }
	source := config.CacheValue{Key: "a", Func: fetch, Every: time.Hour}
	k := newKeptFiles(t)
	s := successor(t, k, source)
	s.set("a", encoded(t, "v"), "func")
	s.set("old", encoded(t, "1"), "exec: date")
	s.set("kept", encoded(t, "1"), sourceSet)
	s.set("theirs", encoded(t, "1"), "worker 7")
	s.values.close()

	for _, c := range []struct {
		sources []config.CacheValue
		known   bool
	}{
		{[]config.CacheValue{source}, true},
		{[]config.CacheValue{source, {Key: "b", Func: fetch, Every: time.Hour}}, false},
		{[]config.CacheValue{{Key: "a", Exec: []string{"true"}, Every: time.Hour}}, false},
	} {
		s = successor(t, k, c.sources...)
		s.holds(t, k, map[string]string{"a": "v", "kept": "1", "theirs": "1"})
		if s.store.Epoch() != 5 {
			t.Errorf("epoch %d", s.store.Epoch())
		}
		var cancel context.CancelFunc
		s.ctx, cancel = context.WithCancel(context.Background())
		s.startSources(c.sources)
		if s.snapshot != c.known {
			t.Errorf("%d sources: workers may have the snapshot: %v", len(c.sources), s.snapshot)
		}
		if c.known {
			select {
			case m := <-s.s.inbox:
				m.apply(s.loop)
			case <-time.After(10 * time.Second):
				t.Fatal("the source was not asked")
			}
			if st := s.store.Status(time.Now())[0]; s.store.Epoch() != 5 || st.Epoch != 1 || st.CheckedAge > time.Minute {
				t.Errorf("the same value is a change: %+v", st)
			}
		}
		cancel()
		ended := make(chan struct{})
		go func() { s.s.wg.Wait(); close(ended) }()
		for open := true; open; {
			select {
			case m := <-s.s.inbox:
				if r, ok := m.(sourceResult); ok && r.result.Payload != nil {
					r.result.Payload.Release()
				}
			case <-ended:
				open = false
			}
		}
		s.values.close()
	}
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

// BenchmarkSetValue is what a change costs the loop, with the journal and without.
func BenchmarkSetValue(b *testing.B) {
	for _, journal := range []bool{false, true} {
		for _, bytes := range []int{100, ipc.HeapMax, 1 << 20} {
			b.Run(fmt.Sprintf("journal=%v/%d", journal, bytes), func(b *testing.B) {
				s, err := New(config.Single("web", nil, 1, []string{"true"}))
				if err != nil {
					b.Fatal(err)
				}
				l := newLoop(s)
				l.config = &config.Config{}
				if l.logs, err = logs.New(config.Log{Format: "json"}, io.Discard, io.Discard); err != nil {
					b.Fatal(err)
				}
				defer l.logs.Close()
				defer l.store.Close()
				if journal {
					l.openValues(nil, nil)
					defer l.values.close()
				}
				even, err := cache.Encode(strings.Repeat("a", bytes))
				if err != nil {
					b.Fatal(err)
				}
				odd, err := cache.Encode(strings.Repeat("b", bytes))
				if err != nil {
					b.Fatal(err)
				}
				defer even.Release()
				defer odd.Release()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p := even
					if i%2 == 1 {
						p = odd
					}
					l.set("prices", p.Retain(), sourceSet)
				}
			})
		}
	}
}
