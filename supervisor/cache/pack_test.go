package cache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// packed is a value in a pack, and what it is to be.
type packed struct {
	at Place
	b  []byte
}

func checkPack(t *testing.T, p *Pack, all []packed) {
	t.Helper()
	bytesOf := int64(0)
	for _, v := range all {
		bytesOf += int64(len(v.b))
		if got, err := p.Get(v.at); err != nil || !bytes.Equal(got, v.b) {
			t.Fatalf("%+v: %v, or other bytes", v.at, err)
		}
		e := Entry{File: v.at.Name(), FileSize: int64(len(v.b))}
		if at, ok := PlaceOf(e); !ok || at != v.at {
			t.Fatalf("%+v is named %s, which names %+v", v.at, e.File, at)
		}
	}
	if p.Bytes() != bytesOf {
		t.Errorf("%d bytes, want %d", p.Bytes(), bytesOf)
	}
}

// TestPack: values come and go at random, also over a new owner, and places are used again.
func TestPack(t *testing.T) {
	f := memory(t)
	random := rand.New(rand.NewPCG(1, 2))
	const most = 50
	p := NewPack(f, most)
	var all []packed
	for i := range 3000 {
		switch n := len(all); {
		case i%500 == 499: // another one, which does not know what was dropped last
			var used []Place
			for _, v := range all {
				used = append(used, v.at)
			}
			p = OpenPack(f, most, used)
			checkPack(t, p, all)
		case n == most || n > 0 && random.IntN(3) == 0:
			i := random.IntN(n)
			p.Drop(all[i].at)
			all = slices.Delete(all, i, i+1)
		default:
			b := bytes.Repeat([]byte{byte(i)}, 1+random.IntN(ipc.InlineMax))
			at, err := p.Put(b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, packed{at, b})
		}
	}
	checkPack(t, p, all)
	for len(all) < most {
		at, err := p.Put([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, packed{at, []byte("x")})
	}
	if _, err := p.Put([]byte("x")); !errors.Is(err, ErrJournalFull) {
		t.Errorf("one more than there are places: %v", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() > most*ipc.InlineMax {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

func TestPackRefuses(t *testing.T) {
	f := memory(t)
	p := NewPack(f, 10)
	for _, n := range []int{0, ipc.InlineMax + 1} {
		if _, err := p.Put(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are taken", n)
		}
	}
	at, err := p.Put([]byte("good"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("evil"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(at); err == nil {
		t.Error("other bytes are taken for the value")
	}
	at.number = 5
	if _, err := p.Get(at); err == nil {
		t.Error("what is behind the end is read")
	}
	for _, name := range []string{"value.7", "value.pack", "value.pack#1", "value.pack#x#00000000", "value.pack#-1#00000000",
		"value.pack#32768#00000000", "value.pack#1#123456789", "value.pack#1#", "value.pack#99999999999999999999#0"} {
		if at, ok := PlaceOf(Entry{File: name, FileSize: 10}); ok {
			t.Errorf("%s is place %+v", name, at)
		}
	}
	for _, size := range []int64{0, -1, ipc.InlineMax + 1} {
		if at, ok := PlaceOf(Entry{File: "value.pack#1#00000000", FileSize: size}); ok {
			t.Errorf("%d bytes are at %+v", size, at)
		}
	}
}

// TestPackGivesBack the memory of what was dropped, and of what has no name any more.
func TestPackGivesBack(t *testing.T) {
	f := memory(t)
	p := NewPack(f, MaxPack)
	value := make([]byte, ipc.InlineMax)
	var places []Place
	for range 100 {
		at, err := p.Put(value)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	if got := blocks(t, f); got < 100*ipc.InlineMax {
		t.Skipf("this system does not say what memory a file takes: %d bytes", got)
	}
	for _, at := range places[:50] {
		p.Drop(at)
	}
	if got := blocks(t, f); got > 51*ipc.InlineMax {
		t.Errorf("%d bytes of memory for 50 values", got)
	}
	OpenPack(f, MaxPack, places[60:70])
	if got := blocks(t, f); got > 11*ipc.InlineMax {
		t.Errorf("%d bytes of memory for 10 values", got)
	}
}

func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return blocksOf(info)
}
