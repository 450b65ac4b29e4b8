package cache

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/record"
)

func memory(t testing.TB) *os.File {
	t.Helper()
	f, err := record.Memory("tine-journal-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func newJournal(t testing.TB) (*Journal, *os.File) {
	t.Helper()
	f := memory(t)
	j, err := NewJournal(f)
	if err != nil {
		t.Fatal(err)
	}
	return j, f
}

// change is the n-th of a sequence, which follows from its number.
func change(n uint64) Entry {
	random := rand.New(rand.NewPCG(n, 11))
	e := Entry{Key: "key" + strconv.Itoa(random.IntN(9)), Epoch: n, ChangedAt: time.Unix(1e9, int64(n)), Source: "worker"}
	switch random.IntN(8) {
	case 0:
		e.Deleted = true
	case 1:
		e.File, e.FileSize = "value-"+strconv.FormatUint(n, 10), int64(n)<<15
	default:
		e.Value = bytes.Repeat([]byte{byte(n)}, random.IntN(3000))
		if random.IntN(20) == 0 {
			e.Value = bytes.Repeat([]byte{byte(n)}, ipc.HeapMax)
		}
	}
	return e
}

// agrees says how a journal and a model differ.
func agrees(f *os.File, model state, epoch uint64) (*Journal, error) {
	j, entries, got, err := OpenJournal(f)
	if err != nil {
		return nil, err
	}
	if got != epoch || len(entries) != len(model) {
		return nil, fmt.Errorf("epoch %d and %d keys, wanted %d and %d", got, len(entries), epoch, len(model))
	}
	last := uint64(0)
	for _, e := range entries {
		m := model[e.Key]
		if e.Epoch <= last || e.Epoch != m.Epoch || e.File != m.File || e.Bytes() != m.Bytes() || !bytes.Equal(e.Value, m.Value) ||
			e.Source != m.Source || !e.ChangedAt.Equal(m.ChangedAt) || e.Deleted {
			return nil, fmt.Errorf("%.80q after epoch %d, wanted %.80q", fmt.Sprint(e), last, fmt.Sprint(m))
		}
		last = e.Epoch
	}
	return j, nil
}

type state map[string]Entry

func (s state) apply(e Entry) {
	delete(s, e.Key)
	if !e.Deleted {
		s[e.Key] = e
	}
}

// TestJournal: whatever comes, the next one reads what was written last, through many compactions.
func TestJournal(t *testing.T) {
	j, f := newJournal(t)
	if _, err := agrees(f, nil, 0); err != nil {
		t.Fatal(err)
	}
	model := state{}
	largest := int64(0)
	for n := uint64(1); n <= 3000; n++ {
		e := change(n)
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
		model.apply(e)
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, st.Size())
		if n%7 != 0 {
			continue
		}
		next, err := agrees(f, model, n)
		if err != nil {
			t.Fatalf("after change %d: %v", n, err)
		}
		if n%3 == 0 {
			j = next
		}
	}
	if j.number < 20 {
		t.Errorf("compacted %d times", j.number)
	}
	if most := int64(9*ipc.HeapMax*5 + 3*journalFloor); largest > most {
		t.Errorf("the file had %d bytes, at most %d", largest, most)
	}
}

// TestTornJournal cuts off an Append after every byte that it writes: the last change is there or not, and the next one follows.
func TestTornJournal(t *testing.T) {
	j, f := newJournal(t)
	model := state{}
	for n := uint64(1); n <= 12; n++ {
		e := change(n)
		e.Value = e.Value[:min(len(e.Value), 40)]
		before, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		at := j.end
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
		after, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		image := append(before, bytes.Repeat([]byte{0xff}, len(after)-len(before)+50)...) // and what was there before
		for i := at; i < j.end; i++ {
			image[i] = after[i]
			g := memory(t)
			if _, err := g.WriteAt(image, 0); err != nil {
				t.Fatal(err)
			}
			old, epoch := model, n-1
			if i == j.end-1 {
				old, epoch = state{}, n
				maps.Copy(old, model)
				old.apply(e)
			}
			next, err := agrees(g, old, epoch)
			if err != nil {
				t.Fatalf("change %d, cut off after %d bytes: %v", n, i-at, err)
			}
			if err := next.Append(Entry{Key: "next", Epoch: n + 1, Value: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			if _, entries, epoch, err := OpenJournal(g); err != nil || epoch != n+1 || entries[len(entries)-1].Key != "next" {
				t.Fatalf("change %d, cut off after %d bytes, then another: %v", n, i-at, err)
			}
			g.Close()
		}
		model.apply(e)
	}
}

func TestJournalRefuses(t *testing.T) {
	j, f := newJournal(t)
	long := strings.Repeat("k", ipc.MaxKey+1)
	if err := j.Append(Entry{Key: "a", Epoch: 5}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e    Entry
		want string
	}{
		{Entry{Epoch: 6}, "keys have 1 to"},
		{Entry{Key: long, Epoch: 6}, "keys have 1 to"},
		{Entry{Key: "b", Epoch: 5}, "epoch 5 was before"},
		{Entry{Key: "b", Epoch: 6, File: strings.Repeat("f", 256), FileSize: 1}, "names have at most 255 bytes"},
		{Entry{Key: "b", Epoch: 6, File: "f"}, "a file of 0 bytes"},
		{Entry{Key: "a", Epoch: 4}, "epoch 5 was before"},
		{Entry{Key: "b", Epoch: 6, Value: make([]byte, ipc.HeapMax+1)}, "at most 32768 are possible"},
	} {
		if err := j.Append(c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, wanted %q", err, c.want)
		}
	}
	if _, entries, epoch, err := OpenJournal(f); err != nil || epoch != 5 || len(entries) != 1 {
		t.Errorf("%v of epoch %d, %v", entries, epoch, err)
	}
	for _, c := range []struct{ content, want string }{
		{"", "too short"},
		{strings.Repeat("x", 300), `it begins with "xxxxxxxx"`},
		{"tine jnl\x07" + strings.Repeat("\x00", 300), "its format has version 7, and 1 is known here"},
		{"tine jnl\x01" + strings.Repeat("\x00", 300), "it has no log"},
	} {
		g := memory(t)
		if _, err := g.WriteString(c.content); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := OpenJournal(g); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, wanted %q", err, c.want)
		}
	}
}

// TestJournalSaysAgain: a value may get another source, or be lost, without a change.
func TestJournalSaysAgain(t *testing.T) {
	j, f := newJournal(t)
	model := state{}
	at := time.Unix(1e9, 0)
	a := Entry{Key: "a", Epoch: 1, ChangedAt: at, Value: []byte("1")}
	b := Entry{Key: "b", Epoch: 2, ChangedAt: at, File: "f", FileSize: 9}
	c := Entry{Key: "c", Epoch: 3, ChangedAt: at}
	last := uint64(0)
	add := func(e Entry) {
		t.Helper()
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
		model.apply(e)
		last = max(last, e.Epoch)
		if _, err := agrees(f, model, last); err != nil {
			t.Error(err)
		}
	}
	for _, e := range []Entry{a, b, c} {
		add(e)
	}
	a.Source, b.Source, c.Source = "worker 1", "worker 2", "worker 3"
	for _, e := range []Entry{a, b, c, a} {
		add(e)
	}
	add(Entry{Key: "b", Epoch: 2, Deleted: true})
	if err := j.Append(b); err == nil {
		t.Error("what is lost comes back without a change")
	}
	if err := j.compact(); err != nil {
		t.Fatal(err)
	}
	add(a)
	add(Entry{Key: "c", Epoch: 3, Deleted: true})
	if err := j.Append(Entry{Key: "c", Epoch: 3}); err == nil {
		t.Error("an epoch comes twice")
	}
	for range 2 { // the second time it changes nothing
		if err := j.AppendEpoch(7); err != nil {
			t.Fatal(err)
		}
		if _, err := agrees(f, model, 7); err != nil {
			t.Error(err)
		}
	}
	last = 7
	add(Entry{Key: "d", Epoch: 8, ChangedAt: at})
	for range 3 * journalFloor / 40 {
		if err := j.Append(a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := agrees(f, model, 8); err != nil || j.number < 3 {
		t.Errorf("log %d: %v", j.number, err)
	}
}

// TestJournalIsBounded: what does not fit is not there, and neither is what it was to replace.
func TestJournalIsBounded(t *testing.T) {
	j, f := newJournal(t)
	value := make([]byte, ipc.HeapMax)
	epoch := uint64(0)
	for ; ; epoch++ {
		err := j.Append(Entry{Key: "key" + strconv.FormatUint(epoch, 10), Epoch: epoch + 1, Value: value})
		if errors.Is(err, ErrJournalFull) {
			break
		}
		if err != nil || epoch > MaxJournal/ipc.HeapMax {
			t.Fatalf("%d values: %v", epoch, err)
		}
	}
	full := epoch
	if err := j.Append(Entry{Key: "key7", Epoch: epoch + 2, Value: value}); err != nil { // which needs no more than the one before
		t.Error(err)
	}
	if err := j.Append(Entry{Key: "key8", Epoch: epoch + 3, Deleted: true}); err != nil {
		t.Error(err)
	}
	if err := j.Append(Entry{Key: "late", Epoch: epoch + 4, Value: value}); err != nil {
		t.Error(err)
	}
	_, entries, got, err := OpenJournal(f)
	if err != nil || got != epoch+4 || uint64(len(entries)) != full {
		t.Errorf("%d of epoch %d, %v; wanted %d of %d", len(entries), got, err, full, epoch+4)
	}
}

const childVariable = "TINE_JOURNAL_TEST_CHILD" // the number of the last change

// appendForEver is the child's part: it announces each change and adds it. Descriptor 3 has the journal.
func appendForEver(last string) {
	j, _, epoch, err := OpenJournal(os.NewFile(3, "journal"))
	if want, _ := strconv.ParseUint(last, 10, 64); err != nil || epoch != want {
		fmt.Fprintln(os.Stderr, "epoch", epoch, "wanted", last, err)
		os.Exit(1)
	}
	for n := epoch + 1; ; n++ {
		e := change(n)
		if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, n)); err != nil {
			os.Exit(0)
		}
		if err := j.Append(e); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// TestKilledJournal kills a process again and again that adds changes as fast as it can. Each time the journal has all that it
// announced, or all but the last.
func TestKilledJournal(t *testing.T) {
	kills, most := 60, 10*time.Second
	if testing.Short() {
		kills = 15
	}
	_, f := newJournal(t)
	epoch, model := uint64(0), state{}
	compacted := uint64(0)
	began := time.Now()
	for kill := range kills {
		if time.Since(began) > most {
			t.Logf("%d kills in %v", kill, most)
			break
		}
		announced := killAppender(t, f, epoch)
		for epoch+1 < announced {
			epoch++
			model.apply(change(epoch))
		}
		j, err := agrees(f, model, epoch)
		if err != nil {
			epoch++
			model.apply(change(epoch))
			if j, err = agrees(f, model, epoch); err != nil {
				t.Fatalf("kill %d, in change %d: %v", kill, announced, err)
			}
		}
		compacted = j.number - 1
	}
	t.Logf("%d changes, %d compactions", epoch, compacted)
}

// killAppender starts one, kills it in the middle of what it does, and returns the number that it announced last.
func killAppender(t *testing.T, f *os.File, last uint64) (announced uint64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+strconv.FormatUint(last, 10))
	child.ExtraFiles = []*os.File{f}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	after := last + 1 + rand.Uint64N(300)
	in := bufio.NewReader(out)
	var b [8]byte
	for {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			break
		}
		if announced = binary.LittleEndian.Uint64(b[:]); announced == after {
			child.Process.Kill()
		}
	}
	child.Wait()
	if announced == 0 {
		t.Fatal("nothing was announced")
	}
	return announced
}

// TestReplay: the next store is as the last one was.
func TestReplay(t *testing.T) {
	j, f := newJournal(t)
	var old store
	defer old.Close()
	now := time.Now()
	keep := func(c Change, changed bool) {
		if !changed {
			return
		}
		e := Entry{Key: c.Key, Epoch: c.Epoch, ChangedAt: c.At, Source: "worker 1"}
		switch {
		case c.Payload == nil:
			e.Deleted = true
		case c.Payload.Mapped():
			e.File, e.FileSize = c.Key+"-file", int64(c.Payload.Len())
		default:
			e.Value, _ = c.Payload.Bytes()
		}
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("large", 20000)
	keep(old.Set(now, "a", payload(t, "1"), "worker 1"))
	keep(old.Set(now, "b", payload(t, "2"), "worker 1"))
	keep(old.Set(now, "large", payload(t, large), "worker 1"))
	keep(old.Set(now, "lost", payload(t, large+"x"), "worker 1"))
	keep(old.Set(now, "a", payload(t, "3"), "worker 1"))
	keep(old.Set(now, "a", payload(t, "3"), "worker 1"))
	keep(old.Set(now, "empty", payload(t, ""), "worker 1"))
	keep(old.Delete(now, "b"))

	_, entries, epoch, err := OpenJournal(f)
	if err != nil {
		t.Fatal(err)
	}
	var s store
	defer s.Close()
	missing, err := s.replay(now.Add(time.Second), epoch, entries, func(e Entry) (*ipc.Payload, error) {
		if e.File != "large-file" || e.FileSize != int64(len(large)) {
			return nil, os.ErrNotExist
		}
		return payload(t, large), nil
	})
	if err != nil || len(missing) != 1 || !errors.Is(missing["lost"], os.ErrNotExist) {
		t.Errorf("missing %v, %v", missing, err)
	}
	if s.Epoch() != old.Epoch() || s.Len() != 3 {
		t.Errorf("epoch %d and %d keys, wanted %d and 3", s.Epoch(), s.Len(), old.Epoch())
	}
	want := map[string]ValueStatus{}
	for _, st := range old.Status(now.Add(time.Second)) {
		want[st.Key] = st
	}
	for _, st := range s.Status(now.Add(time.Second)) {
		if w := want[st.Key]; st.Epoch != w.Epoch || st.Bytes != w.Bytes || st.Source != w.Source || (st.Age-w.Age).Abs() > time.Millisecond {
			t.Errorf("%+v, wanted %+v", st, w)
		}
	}
	if c, changed := s.Set(now, "a", payload(t, "3"), "worker 2"); changed || c.Epoch != 5 {
		t.Errorf("what is there already is a change: %+v", c)
	}
	if c, _ := s.Set(now, "a", payload(t, "4"), "worker 2"); c.Epoch != old.Epoch()+1 {
		t.Errorf("the next epoch is %d", c.Epoch)
	}
	if _, err := s.replay(now, epoch, entries, nil); err == nil {
		t.Error("replayed into a store that has values")
	}
	for _, entries := range [][]Entry{{{Key: "a", Epoch: 9}}, {{Key: "a", Epoch: 1}, {Key: "a", Epoch: 2}}, {{Epoch: 1}}, {{Key: "a"}}} {
		var s store
		if _, err := s.replay(now, 5, entries, nil); err == nil || s.Len() != 0 {
			t.Errorf("%+v is accepted", entries)
		}
	}
}

// FuzzJournal: a file that anybody has written is read without harm, and what is added to it is there afterwards. With sealed, the
// bytes are bodies of records, each after its length, whose checksums are right.
func FuzzJournal(f *testing.F) {
	for _, n := range []uint64{0, 1, 5} {
		file := memory(f)
		j, err := NewJournal(file)
		if err != nil {
			f.Fatal(err)
		}
		for i := range n {
			e := change(i + 1)
			e.Value = e.Value[:min(len(e.Value), 20)]
			if err := j.Append(e); err != nil {
				f.Fatal(err)
			}
		}
		content, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, false)
		var bodies []byte
		for at := int64(journalHead); at < j.end; {
			bytes := int64(binary.LittleEndian.Uint32(content[at:]))
			bodies = append(append(bodies, byte(bytes)), content[at+recordHead:at+recordHead+bytes]...)
			at += recordHead + bytes
		}
		f.Add(bodies, true)
	}
	f.Fuzz(func(t *testing.T, content []byte, sealed bool) {
		file := memory(t)
		defer file.Close()
		if sealed {
			j, err := NewJournal(file)
			if err != nil {
				t.Fatal(err)
			}
			bodies := content
			for content = nil; len(bodies) > 0; {
				n := min(int(bodies[0]), len(bodies)-1)
				at := len(content)
				content = append(append(content, make([]byte, recordHead)...), bodies[1:1+n]...)
				j.seal(content[at:])
				bodies = bodies[1+n:]
			}
			if _, err := file.WriteAt(content, journalHead); err != nil {
				t.Fatal(err)
			}
		} else if _, err := file.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		j, entries, epoch, err := OpenJournal(file)
		if err != nil {
			return
		}
		if err := j.compact(); err != nil {
			t.Fatal(err)
		}
		if _, after, now, err := OpenJournal(file); err != nil || now != epoch || fmt.Sprint(after) != fmt.Sprint(entries) {
			t.Fatalf("compacted from %v to %v, epoch %d to %d, %v", entries, after, epoch, now, err)
		}
		if epoch+1 == 0 {
			return
		}
		if err := j.Append(Entry{Key: "more", Epoch: epoch + 1, Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		_, after, now, err := OpenJournal(file)
		if err != nil || now != epoch+1 || string(after[len(after)-1].Value) != "x" {
			t.Fatalf("%v of epoch %d, %v", after, now, err)
		}
	})
}

// BenchmarkJournalAppend: the price of a change of 100 bytes, compactions included.
func BenchmarkJournalAppend(b *testing.B) {
	for _, keys := range []int{10, 1000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			j, _ := newJournal(b)
			names := make([]string, keys)
			for i := range names {
				names[i] = "prices/" + strconv.Itoa(i)
			}
			value, now := make([]byte, 100), time.Now()
			epoch := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				epoch++
				e := Entry{Key: names[epoch%uint64(keys)], Epoch: epoch, ChangedAt: now, Source: "worker", Value: value}
				if err := j.Append(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
